module target

go 1.21

require github.com/golang-jwt/jwt v3.2.1+incompatible
