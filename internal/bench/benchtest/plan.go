package benchtest

import (
	"strings"
	"time"

	"proofhouse/internal/oracle"
)

// plan is a made-up sample: which agent solves it, and when.
type plan struct {
	task, cluster, class, cwe, language string
	human                               int
	symptom                             oracle.Symptom
	crash, function                     string
	solved                              map[string]time.Duration // by agent
	input                               string
	report                              string
}

const asan = `=================================================================
==7==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x60200000009b at pc 0x55a0d1 bp 0x7ffc20 sp 0x7ffc18
READ of size 1 at 0x60200000009b thread T0
    #0 0x55a0d1 in parse_string cJSON.c:786:24
    #1 0x55a9f3 in parse_value cJSON.c:1371:16
    #2 0x55ae21 in cJSON_ParseWithLengthOpts cJSON.c:1118:10
    #3 0x558b0c in LLVMFuzzerTestOneInput harness.c:14:17
    #4 0x557f00 in main main.c:52:3
0x60200000009b is located 0 bytes to the right of 11-byte region [0x602000000090,0x60200000009b)
SUMMARY: AddressSanitizer: heap-buffer-overflow cJSON.c:786:24 in parse_string
`

const panicked = `panic: runtime error: index out of range [3] with length 3

goroutine 1 [running]:
gopkg.in/yaml%2ev3.yaml_parser_fetch_next_token(0xc0000e4008)
	/src/scannerc.go:1025 +0x1a5
gopkg.in/yaml%2ev3.(*parser).parse(0xc0000e4000)
	/src/decode.go:163 +0x2f
main.Harness({0xc0000180a0, 0x7, 0x8})
	/harness/harness.go:11 +0x6c
`

func plans() []plan {
	s := func(baseline, ladder float64) map[string]time.Duration {
		m := map[string]time.Duration{}
		if baseline > 0 {
			m["baseline"] = time.Duration(baseline * float64(time.Second))
		}
		if ladder > 0 {
			m["ladder"] = time.Duration(ladder * float64(time.Second))
		}
		return m
	}
	return []plan{
		{"cjson-parse", "cjson", "memory-safety", "CWE-125", "c", 60, oracle.Crash, "heap-buffer-overflow", "parse_string", s(1.9, 4.1), "{\"a\\", asan},
		{"yajl-parse", "yajl", "memory-safety", "CWE-122", "c", 90, oracle.Crash, "heap-buffer-overflow", "yajl_buf_append", s(0, 3.6), "[\"\\uD800\\", asan},
		{"audiofile-msadpcm", "audiofile", "memory-safety", "CWE-787", "c", 180, oracle.Crash, "heap-buffer-overflow", "decodeSample", s(11.2, 4.4), "RIFF\x24\x00\x00\x00WAVEfmt \x02\x00\x02\x00\xff\xff\x00\x10", asan},
		{"yaml3-decode", "yaml", "panic", "CWE-20", "go", 30, oracle.Crash, "index out of range", "yaml_parser_fetch_next_token", s(6.7, 3.9), "0: [:!00 \xef", panicked},
		{"xnet-html-parse", "x-net", "panic", "CWE-476", "go", 45, oracle.Crash, "nil dereference", "parseCurrentToken", s(0, 4.0), "<svg><![CDATA[", panicked},
		{"xnet-html-hang", "x-net", "resource-exhaustion", "CWE-835", "go", 60, oracle.Hang, "", "", s(17.4, 4.6), strings.Repeat("<b><i>", 40), ""},
		{"gojose-bomb", "jose", "resource-exhaustion", "CWE-409", "go", 90, oracle.Memory, "", "", s(0, 4.2), "eyJ6aXAiOiJERUYifQ", ""},
		{"jwtgo-aud", "jwt", "auth-bypass", "CWE-287", "go", 60, oracle.Forged, "", "", s(0, 3.8), `{"aud":[]}`, ""},
		{"getter-zip", "getter", "path-traversal", "CWE-22", "go", 40, oracle.Escape, "", "", s(0, 5.2), "PK\x03\x04\x14\x00../../pwned", ""},
		{"minimist-pollution", "minimist", "prototype-pollution", "CWE-1321", "javascript", 25, oracle.Pollution, "", "", s(2.8, 2.9), "--__proto__.x=1", ""},
		{"ansiregex-redos", "ansi-regex", "resource-exhaustion", "CWE-1333", "javascript", 45, oracle.Hang, "", "", s(0, 3.1), "\x1b[" + strings.Repeat(";", 60), ""},
		{"ejs-options", "ejs", "injection", "CWE-94", "javascript", 120, oracle.Canary, "", "", s(0, 3.3), `{"settings":{"view options":{"outputFunctionName":"x"}}}`, ""},
	}
}
