package proofhouse

import "slices"

// Marking says how far something may be passed on, in the words of the Traffic
// Light Protocol 2.0 (FIRST, 2022).
type Marking string

// The markings, from the widest to the narrowest.
const (
	Clear       Marking = "TLP:CLEAR"
	Green       Marking = "TLP:GREEN"
	Amber       Marking = "TLP:AMBER"
	AmberStrict Marking = "TLP:AMBER+STRICT"
	Red         Marking = "TLP:RED"
)

// Markings are all of them.
var Markings = []Marking{Clear, Green, Amber, AmberStrict, Red}

// Validate says whether m is one of Markings.
func (m Marking) Validate() error {
	if !slices.Contains(Markings, m) {
		return Errorf(Invalid, nil, "%q is not a marking: choose one of %v", string(m), Markings)
	}
	return nil
}
