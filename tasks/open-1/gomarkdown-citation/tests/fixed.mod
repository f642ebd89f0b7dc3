module target

go 1.21

require github.com/gomarkdown/markdown v0.0.0-20230922105210-14b16010c2ee
