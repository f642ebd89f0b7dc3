package oracle

// Where things lie in a box of the oracle.
const (
	targetDir = "/target" // the build's image
	workDir   = "/work"
	canaryDir = "/canary"
	outDir    = "/out"
	logDir    = "/report" // sanitizer logs; a file system of its own, so that filling another does not keep a report from being written
)

// reportMax is how many bytes of the report channel are read.
const reportMax = 64 << 10
