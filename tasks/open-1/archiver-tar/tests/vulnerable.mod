module target

go 1.21

require github.com/mholt/archiver v2.0.0+incompatible

require (
	github.com/dsnet/compress v0.0.1 // indirect
	github.com/nwaples/rardecode v1.1.0 // indirect
	github.com/ulikunitz/xz v0.5.12 // indirect
)
