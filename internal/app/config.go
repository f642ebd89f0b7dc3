// Package app is the one composition root: it reads the configuration, opens
// the parts in order, hands each what it needs and closes them in reverse.
// It alone names implementations. The parts' rules are their own; what is
// printed is cli's.
package app

import (
	"os"
	"path/filepath"

	"proofhouse/internal/proofhouse"
)

// Version is this program's version; the linker sets it.
var Version = "unversioned"

// Config says where the house lives on this machine. The zero value works.
type Config struct {
	// Data is the data folder (docs/cli.md says what lies in it). "" is
	// $PROOFHOUSE_DATA, else $XDG_DATA_HOME/proofhouse, else
	// ~/.local/share/proofhouse.
	Data string
	// Provider is the sandbox: "gvisor" or "bwrap". "" is gvisor. There is no
	// fall-back from one to the other.
	Provider string
	// Sentry is the static executable that boxes start from; "" is this one.
	// Tests set it, since the race detector makes theirs dynamic.
	Sentry string
	// Key is the file of the key that signs verdicts; "" is Data/keys/verdict.key
	// if that exists, and else verdicts are unsigned and say so.
	Key string
	// HouseKey is the file of the key that opens the vault; "" is
	// $PROOFHOUSE_HOUSE_KEY, else Data/keys/house.key.
	HouseKey string
}

// resolve fills what is empty and refuses contradictions.
func (c Config) resolve() (Config, error) {
	switch c.Provider {
	case "":
		c.Provider = "gvisor"
	case "gvisor", "bwrap":
	default:
		return c, proofhouse.Errorf(proofhouse.Invalid, nil, "there is no sandbox provider %q: choose gvisor or bwrap", c.Provider)
	}
	if c.Data == "" {
		c.Data = os.Getenv("PROOFHOUSE_DATA")
	}
	if c.Data == "" {
		base := os.Getenv("XDG_DATA_HOME")
		if base == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return c, proofhouse.Errorf(proofhouse.Invalid, err, "there is no home folder: name a data folder with --data or PROOFHOUSE_DATA")
			}
			base = filepath.Join(home, ".local", "share")
		}
		c.Data = filepath.Join(base, "proofhouse")
	}
	abs, err := filepath.Abs(c.Data)
	if err != nil {
		return c, err
	}
	c.Data = abs
	if c.HouseKey == "" {
		c.HouseKey = os.Getenv("PROOFHOUSE_HOUSE_KEY")
	}
	if c.HouseKey == "" {
		c.HouseKey = filepath.Join(c.Data, "keys", "house.key")
	}
	return c, nil
}

// Setting is an environment variable of the house's, or else what it is by default.
func Setting(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// dir is a folder of the data folder.
func (c Config) dir(elem ...string) string {
	return filepath.Join(append([]string{c.Data}, elem...)...)
}
