// Package stat estimates rates and their uncertainty. Its functions are pure
// and are tested against published values; what is counted is for bench to say.
package stat

// Interval is a two-sided interval. NaN never appears: where nothing can be
// said, Low is 0 and High is 1.
type Interval struct {
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	Level float64 `json:"level"` // 0.95
}
