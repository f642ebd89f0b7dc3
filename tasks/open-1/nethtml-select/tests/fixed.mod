module target

go 1.21

require golang.org/x/net v0.0.0-20190125091013-d26f9f9a57f3
