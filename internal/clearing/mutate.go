package clearing

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
)

// interesting are integers near where widths and signs end.
var interesting = []uint64{0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 254, 255, 256, 1023, 1024, 4095, 4096, 32767, 32768, 65535, 65536, 1<<31 - 1, 1 << 31, 1<<32 - 1}

// mutate makes one small change somewhere. others lend their parts.
func mutate(b []byte, others [][]byte, rng *rand.Rand) []byte {
	if len(b) == 0 {
		return []byte{byte(rng.IntN(256))}
	}
	at := rng.IntN(len(b))
	size := 1 + rng.IntN(min(8, len(b)-at))
	switch rng.IntN(9) {
	case 0: // one bit
		b[at] ^= 1 << rng.IntN(8)
	case 1: // one byte
		b[at] = byte(rng.IntN(256))
	case 2: // a little more or less
		b[at] += byte(rng.IntN(9) - 4)
	case 3: // an integer
		v := interesting[rng.IntN(len(interesting))]
		var raw [8]byte
		width := 1 << rng.IntN(3)
		if rng.IntN(2) == 0 {
			binary.LittleEndian.PutUint64(raw[:], v)
			copy(b[at:], raw[:width])
		} else {
			binary.BigEndian.PutUint64(raw[:], v)
			copy(b[at:], raw[8-width:])
		}
	case 4: // less
		b = slices.Delete(b, at, at+size)
	case 5: // more of the same
		b = slices.Insert(b, at, slices.Clone(b[at:at+size])...)
	case 6: // many of one
		b = slices.Insert(b, at, slices.Repeat([]byte{b[at]}, 1+rng.IntN(64))...)
	case 7: // cut short
		if len(b) > 1 {
			b = b[:1+rng.IntN(len(b)-1)]
		}
	case 8: // a part of another
		if len(others) > 0 {
			if o := others[rng.IntN(len(others))]; len(o) > 0 {
				from := rng.IntN(len(o))
				part := o[from:min(len(o), from+1+rng.IntN(16))]
				b = slices.Insert(b, at, part...)
			}
		}
	}
	return b
}
