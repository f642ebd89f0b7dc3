module target

go 1.26.0

require github.com/sassoftware/go-rpmutils v0.0.0-20190420191620-a8f1baeba37b

require github.com/op/go-logging v0.0.0-20160315200505-970db520ece7 // indirect
