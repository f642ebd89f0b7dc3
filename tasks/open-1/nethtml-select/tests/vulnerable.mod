module target

go 1.21

require golang.org/x/net v0.0.0-20181220203305-927f97764cc3
