package sandbox

import "slices"

// Canary is a listener that the host put up for one box, which the box must
// not reach.
type Canary struct {
	Name    string `json:"name"`    // "host loopback", "namespace address", "abstract socket"
	Network string `json:"network"` // tcp4, tcp6, unix, unix-abstract
	Address string `json:"address"` // host:port or a socket's name
	Token   string `json:"token"`   // what the listener answers: proof that it was this one
}

// ProbeReport is what a process in a live box saw, as Nobody and as the box's
// root. It is part of the run's record.
type ProbeReport struct {
	Interfaces []string       `json:"interfaces"` // "lo 127.0.0.1/8"
	Routes     []string       `json:"routes"`
	Resolvers  []string       `json:"resolvers"`
	Sockets    []string       `json:"sockets"` // socket files found in the box
	Canaries   []CanaryResult `json:"canaries"`
	Kernel     string         `json:"kernel"`
}

// CanaryResult is what became of one attempt.
type CanaryResult struct {
	Name    string `json:"name"`
	Reached bool   `json:"reached"` // the listener's token came back, or the connection stood
	Error   string `json:"error,omitempty"`
}

// Merge gives what either report saw. A canary counts as reached if either
// reached it.
func (r ProbeReport) Merge(o ProbeReport) ProbeReport {
	union := func(a, b []string) []string {
		all := append(append([]string{}, a...), b...)
		slices.Sort(all)
		return slices.Compact(all)
	}
	r.Interfaces, r.Routes = union(r.Interfaces, o.Interfaces), union(r.Routes, o.Routes)
	r.Resolvers, r.Sockets = union(r.Resolvers, o.Resolvers), union(r.Sockets, o.Sockets)
	if r.Kernel == "" {
		r.Kernel = o.Kernel
	}
	r.Canaries = slices.Clone(r.Canaries)
	for _, c := range o.Canaries {
		i := slices.IndexFunc(r.Canaries, func(mine CanaryResult) bool { return mine.Name == c.Name })
		switch {
		case i < 0:
			r.Canaries = append(r.Canaries, c)
		case c.Reached && !r.Canaries[i].Reached:
			r.Canaries[i] = c
		}
	}
	return r
}
