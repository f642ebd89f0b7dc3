module target

go 1.21

require github.com/go-jose/go-jose/v3 v3.0.2

require golang.org/x/crypto v0.19.0 // indirect
