package guard

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/pelletier/go-toml/v2"

	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/vault"
)

// file is what a file of safeguards holds.
type file struct {
	Safeguard []safeguard `toml:"safeguard"`
}

type safeguard struct {
	Name     string            `toml:"name"`
	Kind     string            `toml:"kind"`
	Stages   []string          `toml:"stages"`
	Mode     string            `toml:"mode"`
	Hold     int64             `toml:"hold"`
	Fail     string            `toml:"fail"`
	Within   string            `toml:"within"`
	Patterns map[string]string `toml:"patterns"` // of kind "patterns": name and expression
	URL      string            `toml:"url"`      // of kinds "moderation" and "hook"
	Model    string            `toml:"model"`    // of kind "moderation"
	KeyFile  string            `toml:"key_file"`
}

// Read reads a file of safeguards (TOML, see docs/design/gate.md): the guards
// by name, and how a grant is subject to them. key reads the file that a guard's
// key is in. The error is proofhouse.Invalid, with the line where it is known.
func Read(text []byte, key func(file string) (vault.Secret, error)) (map[string]gate.Guard, []gate.Safeguard, error) {
	var f file
	if err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&f); err != nil {
		if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok {
			return nil, nil, proofhouse.Errorf(proofhouse.Invalid, err, "the file of safeguards has a field that there is not:\n%s", strict.String())
		}
		if at, ok := errors.AsType[*toml.DecodeError](err); ok {
			return nil, nil, proofhouse.Errorf(proofhouse.Invalid, err, "the file of safeguards cannot be read:\n%s", at.String())
		}
		return nil, nil, proofhouse.Errorf(proofhouse.Invalid, err, "the file of safeguards cannot be read: %v", err)
	}
	guards := map[string]gate.Guard{}
	var all []gate.Safeguard
	for _, s := range f.Safeguard {
		if _, twice := guards[s.Name]; twice || s.Name == "" {
			return nil, nil, proofhouse.Errorf(proofhouse.Invalid, nil, "each safeguard needs a name of its own, and %q is none", s.Name)
		}
		g, err := s.guard(key)
		if err != nil {
			return nil, nil, err
		}
		guards[s.Name] = g
		given, err := s.safeguards()
		if err != nil {
			return nil, nil, err
		}
		all = append(all, given...)
	}
	return guards, all, nil
}

func (s safeguard) guard(key func(string) (vault.Secret, error)) (gate.Guard, error) {
	secret := vault.Secret("")
	if s.KeyFile != "" {
		var err error
		if secret, err = key(s.KeyFile); err != nil {
			return nil, err
		}
	}
	switch s.Kind {
	case "patterns":
		var all Patterns
		for _, name := range slices.Sorted(maps.Keys(s.Patterns)) {
			p, err := Compile(name, s.Patterns[name])
			if err != nil {
				return nil, err
			}
			all = append(all, p)
		}
		if len(all) == 0 {
			return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "safeguard %s has no patterns", s.Name)
		}
		return all, nil
	case "moderation":
		return NewModeration(s.URL, s.Model, secret)
	case "hook":
		return NewHook(s.URL, secret)
	}
	return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "safeguard %s is of kind patterns, moderation or hook, not %q", s.Name, s.Kind)
}

// safeguards are one for each stage.
func (s safeguard) safeguards() (all []gate.Safeguard, err error) {
	g := gate.Safeguard{Guard: s.Name, Mode: gate.Mode(s.Mode), Hold: s.Hold}
	switch s.Fail {
	case "closed", "":
	case "open":
		g.FailOpen = true
	default:
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "safeguard %s fails open or closed, not %q", s.Name, s.Fail)
	}
	if s.Within != "" {
		if g.Within, err = time.ParseDuration(s.Within); err != nil || g.Within <= 0 {
			return nil, proofhouse.Errorf(proofhouse.Invalid, err, "safeguard %s takes at most a time such as 2s, not %q", s.Name, s.Within)
		}
	}
	if len(s.Stages) == 0 {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "safeguard %s needs stages: request, answer or both", s.Name)
	}
	for _, stage := range s.Stages {
		g.Stage = gate.Stage(stage)
		if err := g.Validate(); err != nil {
			return nil, err
		}
		all = append(all, g)
	}
	return all, nil
}
