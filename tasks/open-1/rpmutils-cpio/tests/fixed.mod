module target

go 1.21

require github.com/sassoftware/go-rpmutils v0.1.0
