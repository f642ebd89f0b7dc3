package clearing

import (
	"context"
	"slices"
)

// values changes single bytes and numbers of two, follows each change to where it begins to matter, and does so
// again from where the changes led.
func (x *explorer) values(ctx context.Context) error {
	proof := x.proof
	places := min(maxPlaces, len(proof))
	place := func(i int) int { // the first half one by one, then spread
		if half := places / 2; i >= half && len(proof) > maxPlaces {
			return half + (i-half)*(len(proof)-half)/(places-half)
		}
		return i
	}
	for i := range places {
		if err := x.window(ctx, proof, place(i)); err != nil {
			return err
		}
	}
	var telling []int
	for i := range places {
		at := place(i)
		tells, err := x.value(ctx, proof, at)
		if err != nil {
			return err
		}
		if tells {
			telling = append(telling, at)
		}
	}
	var led [][]byte
	for _, at := range telling {
		for width := 1; width <= 2; width++ {
			for _, little := range []bool{false, true} {
				f := field{at: at, width: width, little: little}
				if at+width > len(proof) || width == 1 && little {
					continue
				}
				more, err := x.number(ctx, proof, f)
				if err != nil {
					return err
				}
				led = append(led, more...)
			}
		}
	}
	for _, from := range led[:min(len(led), maxLed)] {
		for _, at := range telling {
			for _, little := range []bool{false, true} {
				f := field{at: at, width: 2, little: little}
				if at+2 > len(from) {
					continue
				}
				if err := x.follow(ctx, from, f); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// window makes a number of two bytes nothing. If that breaks nothing, both too great and below it break, which changes of one byte do not show: then it
// looks for how great it may be.
func (x *explorer) window(ctx context.Context, proof []byte, at int) error {
	if at+2 > len(proof) || proof[at] == 0 && proof[at+1] == 0 {
		return nil
	}
	f := field{at: at, width: 2}
	set := func(v int) []byte {
		b := slices.Clone(proof)
		f.write(b, v)
		return b
	}
	did, err := x.try(ctx, set(0))
	if err != nil || did != spares {
		return err
	}
	const most = 1<<15 - 1
	for _, f.little = range []bool{false, true} {
		did, err := x.try(ctx, set(most))
		if err != nil {
			return err
		}
		if did != breaks {
			continue
		}
		if _, err := x.bisect(ctx, most, func(k int) []byte { return set(most - k) }); err != nil {
			return err
		}
	}
	return nil
}

// value changes one byte, and says whether that tells.
func (x *explorer) value(ctx context.Context, proof []byte, at int) (tells bool, err error) {
	set := func(v byte) []byte {
		b := slices.Clone(proof)
		b[at] = v
		return b
	}
	old := proof[at]
	for _, v := range []byte{old + 1, old - 1, old ^ 0x80, 0, 255} {
		did, err := x.try(ctx, set(v))
		if err != nil {
			return false, err
		}
		tells = tells || did != breaks
	}
	if !tells {
		return false, nil
	}
	return true, x.follow(ctx, proof, field{at: at, width: 1})
}

// follow makes a number greater and less to where that begins to matter.
func (x *explorer) follow(ctx context.Context, proof []byte, f field) error {
	old := f.read(proof)
	set := func(v int) []byte {
		b := slices.Clone(proof)
		f.write(b, v)
		return b
	}
	if _, err := x.bisect(ctx, 1<<(8*f.width)-1-old, func(k int) []byte { return set(old + k) }); err != nil {
		return err
	}
	_, err := x.bisect(ctx, old, func(k int) []byte { return set(old - k) })
	return err
}

// maxLed is how many of the inputs that changed numbers led to are changed further.
const maxLed = 6

// number gives a number other values, such as are near where widths and signs end, and gives back those that break.
func (x *explorer) number(ctx context.Context, proof []byte, f field) (led [][]byte, err error) {
	most := 1<<(8*f.width) - 1
	old := f.read(proof)
	for _, v := range []int{1, 2, 3, 127, 128, 255, 256, 257, 1000, most / 2, most/2 + 1, most - 1, most, old * 2, old * 3, old + 256, old + 512} {
		if v < 0 || v > most || v == old {
			continue
		}
		b := slices.Clone(proof)
		f.write(b, v)
		did, err := x.try(ctx, b)
		if err != nil {
			return nil, err
		}
		if did == breaks {
			led = append(led, b)
		}
	}
	return led, nil
}
