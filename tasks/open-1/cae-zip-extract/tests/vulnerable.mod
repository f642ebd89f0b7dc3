module target

go 1.21

require github.com/unknwon/cae v1.0.0

require (
	github.com/smartystreets/goconvey v1.8.1 // indirect
	github.com/unknwon/com v1.0.1 // indirect
)
