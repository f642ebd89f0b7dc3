module target

go 1.21

require github.com/golang-jwt/jwt v3.2.0+incompatible

require github.com/dgrijalva/jwt-go v3.2.0+incompatible // indirect
