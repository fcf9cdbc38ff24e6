module example.com/canary

go 1.24

require github.com/seriatim/seriatim/guest-sdk/go v0.0.0

replace github.com/seriatim/seriatim/guest-sdk/go => ../../../guest-sdk/go
