// Package policy answers one question: may this actor do this to that? The
// rules are Cedar policies in readable files, held to a schema when they are
// loaded; a request that no rule permits, that one forbids, or on which one
// fails is denied. What follows from a denial is left to who asked.
package policy

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go"
	xast "github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"

	"proofhouse/internal/proofhouse"
)

//go:embed rules
var shipped embed.FS

// The two sets of rules that ship, each with a schema of its own, so that a
// rule for calls of a model need not fit a question about a case.
const (
	gateRules  = "rules/gate" // gate.cedarschema
	houseRules = "rules"      // house.cedarschema
)

// Set is a loaded set of policies. It never changes, and is safe for
// concurrent use.
type Set struct {
	policies map[cedar.PolicyID]*cedar.Policy
	// any are those for every action; asked has them, and those that name the
	// action besides. A policy that is not asked names other actions, and so could
	// neither match nor fail.
	any   rules
	asked map[cedar.EntityUID]rules
	check *validate.Validator
}

// rules are policies with their ids.
type rules []rule

type rule struct {
	id cedar.PolicyID
	*cedar.Policy
}

// All implements cedar.PolicyIterator.
func (rs rules) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for _, r := range rs {
			if !yield(r.id, r.Policy) {
				return
			}
		}
	}
}

// Load reads the rules that ship for calls of a model and, from each folder,
// all files that end in .cedar. Every policy needs an @id of its own. The error is
// proofhouse.Invalid and names file and line: of what is no policy, of what
// does not fit the schema (an attribute that may be missing would make a
// forbid rule fail), of an id that is there twice.
func Load(folders ...fs.FS) (*Set, error) {
	return read(gateRules, gateRules+"/gate.cedarschema", folders)
}

// read reads the rules that ship in a folder of theirs, and those of folders.
func read(ours, schemaFile string, folders []fs.FS) (*Set, error) {
	text, err := shipped.ReadFile(schemaFile)
	if err != nil {
		return nil, err
	}
	var s schema.Schema
	if err := s.UnmarshalCedar(text); err != nil {
		return nil, fmt.Errorf("reading the schema of policies: %w", err)
	}
	resolved, err := s.Resolve()
	if err != nil {
		return nil, fmt.Errorf("reading the schema of policies: %w", err)
	}
	set := newSet(validate.New(resolved, validate.WithStrict()))
	rules, err := fs.Sub(shipped, ours)
	if err != nil {
		return nil, err
	}
	for _, folder := range append([]fs.FS{rules}, folders...) {
		names, err := fs.Glob(folder, "*.cedar")
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			text, err := fs.ReadFile(folder, name)
			if err != nil {
				return nil, proofhouse.Errorf(proofhouse.NotFound, err, "the policies in %s cannot be read", path.Base(name))
			}
			if err := set.add(name, text); err != nil {
				return nil, err
			}
		}
	}
	return set, nil
}

// maxFile bounds a file of policies, in bytes.
const maxFile = 1 << 20

// add parses and checks the policies of one file.
func (s *Set) add(name string, text []byte) (err error) {
	if len(text) > maxFile {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "%s: a file of policies has at most %d bytes", name, maxFile)
	}
	list, err := cedar.NewPolicyListFromBytes(name, text)
	if err != nil {
		return proofhouse.Errorf(proofhouse.Invalid, err, "%s: %v", name, err)
	}
	for _, p := range list {
		at := fmt.Sprintf("%s:%d", name, p.Position().Line)
		id := string(p.Annotations()["id"])
		if id == "" {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "%s: the policy has no @id(\"…\"): decisions name it", at)
		}
		if err := s.check.Policy(id, (*xast.Policy)(p.AST())); err != nil {
			return proofhouse.Errorf(proofhouse.Invalid, err, "%s: policy %s: %v", at, id, err)
		}
		if s.policies[cedar.PolicyID(id)] != nil {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "%s: there is a policy %s already", at, id)
		}
		s.put(cedar.PolicyID(id), p)
	}
	return nil
}

func newSet(check *validate.Validator) *Set {
	return &Set{policies: map[cedar.PolicyID]*cedar.Policy{}, asked: map[cedar.EntityUID]rules{}, check: check}
}

// put adds a policy that was checked.
func (s *Set) put(id cedar.PolicyID, p *cedar.Policy) {
	r := rule{id, p}
	s.policies[id] = p
	var named []cedar.EntityUID
	switch scope := p.AST().Action.(type) {
	case xast.ScopeTypeEq:
		named = []cedar.EntityUID{scope.Entity}
	case xast.ScopeTypeInSet:
		named = scope.Entities
	default:
		s.any = append(s.any, r)
		for a := range s.asked {
			s.asked[a] = append(s.asked[a], r)
		}
	}
	for _, a := range named {
		if _, ok := s.asked[a]; !ok {
			s.asked[a] = slices.Clone(s.any)
		}
		s.asked[a] = append(s.asked[a], r)
	}
}

// about are the policies to be asked about an action.
func (s *Set) about(action cedar.EntityUID) rules {
	if rs, ok := s.asked[action]; ok {
		return rs
	}
	return s.any
}

// Entity is a thing that policies speak of.
type Entity struct {
	Type, ID string
	Attrs    Attrs
	// Parents are what it belongs to.
	Parents []Entity
}

// Ref names an entity as a value.
type Ref struct{ Type, ID string }

// Attrs are named values: string, bool, int, int64, []string, time.Time, Ref
// or []Ref.
type Attrs map[string]any

// Request is one question.
type Request struct {
	Principal Entity // who
	Action    string // does what
	Resource  Entity // to what
	Context   Attrs  // how and when
}

// Decision is the answer to a Request.
type Decision struct {
	Allow bool `json:"allow"`
	// Policy is the @id of the rule that decided, "" if none permits. Of one
	// that denies, Reason is its @reason and At its file and line.
	Policy string `json:"policy,omitempty"`
	Reason string `json:"reason,omitempty"`
	At     string `json:"at,omitempty"`
	// Failed says that a rule could not be evaluated, which denies.
	Failed bool `json:"failed,omitempty"`
}

// Decide answers r.
func (s *Set) Decide(r Request) Decision {
	q, entities, err := r.cedar()
	if err != nil {
		return Decision{Failed: true, Reason: "the request is not one that policies can decide"}
	}
	allow, why := cedar.Authorize(s.about(q.Action), entities, q)
	if len(why.Errors) > 0 {
		// A forbid rule that fails is skipped by Cedar, as if it did not forbid.
		e := why.Errors[0]
		return Decision{Failed: true, Policy: string(e.PolicyID), Reason: "a policy could not be evaluated", At: at(e.Position)}
	}
	d := Decision{Allow: allow == cedar.Allow}
	if len(why.Reasons) == 0 {
		return d
	}
	first := slices.MinFunc(why.Reasons, func(a, b cedar.DiagnosticReason) int { return strings.Compare(string(a.PolicyID), string(b.PolicyID)) })
	if d.Policy = string(first.PolicyID); !d.Allow {
		d.At, d.Reason = at(first.Position), string(s.policies[first.PolicyID].Annotations()["reason"])
	}
	return d
}

func at(p cedar.Position) string { return fmt.Sprintf("%s:%d", p.Filename, p.Line) }

// Fits says whether r is of a shape that the schema has, as the policies were
// checked for.
func (s *Set) Fits(r Request) error {
	q, entities, err := r.cedar()
	if err != nil {
		return err
	}
	all := cedar.EntityMap{}
	for _, e := range entities {
		all[e.UID] = e
	}
	return errors.Join(s.check.Request(q), s.check.Entities(all))
}

// few are the entities of one request.
type few []cedar.Entity

// Get implements cedar.EntityGetter.
func (f few) Get(uid cedar.EntityUID) (cedar.Entity, bool) {
	for _, e := range f {
		if e.UID == uid {
			return e, true
		}
	}
	return cedar.Entity{}, false
}

func (r Request) cedar() (cedar.Request, few, error) {
	principal, entities, err := r.Principal.cedar(make(few, 0, 4))
	if err != nil {
		return cedar.Request{}, nil, err
	}
	resource, entities, err := r.Resource.cedar(entities)
	if err != nil {
		return cedar.Request{}, nil, err
	}
	context, err := r.Context.cedar()
	return cedar.Request{Principal: principal, Action: cedar.NewEntityUID("Action", cedar.String(r.Action)), Resource: resource, Context: context}, entities, err
}

func (e Entity) cedar(all few) (cedar.EntityUID, few, error) {
	uid := cedar.NewEntityUID(cedar.EntityType(e.Type), cedar.String(e.ID))
	attrs, err := e.Attrs.cedar()
	if err != nil {
		return uid, all, err
	}
	parents := make([]cedar.EntityUID, len(e.Parents))
	for i, p := range e.Parents {
		if parents[i], all, err = p.cedar(all); err != nil {
			return uid, all, err
		}
	}
	return uid, append(all, cedar.Entity{UID: uid, Parents: cedar.NewEntityUIDSet(parents...), Attributes: attrs}), nil
}

func (a Attrs) cedar() (cedar.Record, error) {
	m := make(cedar.RecordMap, len(a))
	for name, v := range a {
		switch v := v.(type) {
		case string:
			m[cedar.String(name)] = cedar.String(v)
		case bool:
			m[cedar.String(name)] = cedar.Boolean(v)
		case int:
			m[cedar.String(name)] = cedar.Long(v)
		case int64:
			m[cedar.String(name)] = cedar.Long(v)
		case time.Time:
			m[cedar.String(name)] = cedar.NewDatetime(v)
		case []string:
			words := make([]cedar.Value, len(v))
			for i, w := range v {
				words[i] = cedar.String(w)
			}
			m[cedar.String(name)] = cedar.NewSet(words...)
		case Ref:
			m[cedar.String(name)] = cedar.NewEntityUID(cedar.EntityType(v.Type), cedar.String(v.ID))
		case []Ref:
			refs := make([]cedar.Value, len(v))
			for i, r := range v {
				refs[i] = cedar.NewEntityUID(cedar.EntityType(r.Type), cedar.String(r.ID))
			}
			m[cedar.String(name)] = cedar.NewSet(refs...)
		default:
			return cedar.Record{}, fmt.Errorf("attribute %s is of type %T, which policies do not know", name, v)
		}
	}
	return cedar.NewRecord(m), nil
}
