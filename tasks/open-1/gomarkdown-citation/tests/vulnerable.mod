module target

go 1.21

require github.com/gomarkdown/markdown v0.0.0-20230916125811-7478c230c7cd
