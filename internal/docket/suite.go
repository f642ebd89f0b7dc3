package docket

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"proofhouse/internal/proofhouse"
)

// Suite is a suite of tasks with the salt that keeps its commitment from being
// guessed. It is the registrar's, and not part of a case.
type Suite struct {
	Name  string      `json:"name"`
	Salt  Salt        `json:"salt"`
	Tasks []SuiteTask `json:"tasks"`
}

// SuiteTask is a task by its content.
type SuiteTask struct {
	ID     proofhouse.TaskID `json:"id"`
	Digest proofhouse.Digest `json:"digest"`
}

// Salt is random and secret until something is disclosed.
type Salt [32]byte

// MarshalText is the salt in hex.
func (s Salt) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(s[:])), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *Salt) UnmarshalText(b []byte) error {
	if len(b) != 2*len(s) {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "a salt is %d hex digits", 2*len(s))
	}
	if _, err := hex.Decode(s[:], b); err != nil {
		return proofhouse.Errorf(proofhouse.Invalid, err, "a salt is %d hex digits", 2*len(s))
	}
	return nil
}

// SuiteCommitment commits to every task of a suite and tells none.
type SuiteCommitment struct {
	Name string `json:"name"`
	// Root is the Merkle tree hash (RFC 6962) over the tasks in the order of
	// their ids, each with a salt of its own.
	Root  proofhouse.Digest `json:"root"`
	Tasks int               `json:"tasks"`
}

// Disclosure shows that one task was among those committed to, and nothing of
// the others but how many there are.
type Disclosure struct {
	Task  SuiteTask           `json:"task"`
	Salt  Salt                `json:"salt"` // of this task alone
	Index int                 `json:"index"`
	Proof []proofhouse.Digest `json:"proof"`
}

// maxTasks bounds a suite.
const maxTasks = 100_000

// Commit is the suite's commitment. The error is proofhouse.Invalid.
func (s Suite) Commit() (SuiteCommitment, error) {
	tree, err := s.tree()
	if err != nil {
		return SuiteCommitment{}, err
	}
	root, err := tlog.TreeHash(int64(len(s.Tasks)), tree)
	if err != nil {
		return SuiteCommitment{}, err
	}
	return SuiteCommitment{Name: s.Name, Root: digest(root), Tasks: len(s.Tasks)}, nil
}

// Disclose makes the proof for one task; the error is proofhouse.NotFound if
// the suite does not have it.
func (s Suite) Disclose(id proofhouse.TaskID) (Disclosure, error) {
	tree, err := s.tree()
	if err != nil {
		return Disclosure{}, err
	}
	tasks := s.sorted()
	i := slices.IndexFunc(tasks, func(t SuiteTask) bool { return t.ID == id })
	if i < 0 {
		return Disclosure{}, proofhouse.Errorf(proofhouse.NotFound, nil, "the suite has no such task")
	}
	proof, err := tlog.ProveRecord(int64(len(tasks)), int64(i), tree)
	if err != nil {
		return Disclosure{}, err
	}
	d := Disclosure{Task: tasks[i], Salt: s.taskSalt(id), Index: i}
	for _, h := range proof {
		d.Proof = append(d.Proof, digest(h))
	}
	return d, nil
}

// Check says whether the task is one of those that c commits to. The error is
// proofhouse.Integrity if it is not.
func (d Disclosure) Check(c SuiteCommitment) error {
	bad := func(err error) error {
		return proofhouse.Errorf(proofhouse.Integrity, err, "the task is not shown to be one of those committed to")
	}
	root, err := hash(c.Root)
	if err != nil {
		return bad(err)
	}
	var proof tlog.RecordProof
	for _, p := range d.Proof {
		h, err := hash(p)
		if err != nil {
			return bad(err)
		}
		proof = append(proof, h)
	}
	if err := tlog.CheckRecord(proof, int64(c.Tasks), root, int64(d.Index), leaf(d.Task, d.Salt)); err != nil {
		return bad(err)
	}
	return nil
}

func (s Suite) sorted() []SuiteTask {
	return slices.SortedFunc(slices.Values(s.Tasks), func(a, b SuiteTask) int { return strings.Compare(string(a.ID), string(b.ID)) })
}

// tree holds the hashes of all nodes.
func (s Suite) tree() (tlog.HashReader, error) {
	if err := name("the suite's name", s.Name); err != nil {
		return nil, err
	}
	if len(s.Tasks) == 0 || len(s.Tasks) > maxTasks {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "a suite has 1 to %d tasks", maxTasks)
	}
	if s.Salt == (Salt{}) {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "the suite has no salt: its tasks could be guessed")
	}
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			hashes[i] = stored[x]
		}
		return hashes, nil
	})
	tasks := s.sorted()
	for i, t := range tasks {
		if err := t.Digest.Validate(); err != nil {
			return nil, err
		}
		if i > 0 && tasks[i-1].ID == t.ID || t.ID == "" {
			return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "two tasks of the suite have one name, or one has none")
		}
		more, err := tlog.StoredHashesForRecordHash(int64(i), leaf(t, s.taskSalt(t.ID)), read)
		if err != nil {
			return nil, err
		}
		stored = append(stored, more...)
	}
	return read, nil
}

// taskSalt is made from the suite's, so that disclosing one opens no other.
func (s Suite) taskSalt(id proofhouse.TaskID) Salt {
	m := hmac.New(sha256.New, s.Salt[:])
	m.Write([]byte("proofhouse task salt v1\n" + string(id)))
	return Salt(m.Sum(nil))
}

func leaf(t SuiteTask, salt Salt) tlog.Hash {
	b, err := json.Marshal([]string{"proofhouse task v1", hex.EncodeToString(salt[:]), string(t.ID), string(t.Digest)})
	if err != nil {
		panic(err) // strings are JSON
	}
	return tlog.RecordHash(b)
}

func digest(h tlog.Hash) proofhouse.Digest {
	return proofhouse.Digest("sha256:" + hex.EncodeToString(h[:]))
}

func hash(d proofhouse.Digest) (h tlog.Hash, err error) {
	if err := d.Validate(); err != nil {
		return h, err
	}
	_, err = hex.Decode(h[:], []byte(d.Hex()))
	return h, err
}
