module target

go 1.21

require github.com/shamaton/msgpack/v2 v2.1.1
