module target

go 1.21

require github.com/unknwon/cae v1.0.1
