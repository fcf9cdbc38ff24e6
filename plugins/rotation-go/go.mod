module example.com/rotation

go 1.24
