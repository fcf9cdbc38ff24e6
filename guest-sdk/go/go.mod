module github.com/seriatim/seriatim/guest-sdk/go

go 1.24
