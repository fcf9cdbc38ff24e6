module example.com/canary

go 1.24

require example.com/echo v0.0.0

replace example.com/echo => ../../../plugins/echo-go
