module target

go 1.21

require google.golang.org/protobuf v1.32.0
