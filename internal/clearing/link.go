package clearing

import (
	"crypto/subtle"
	"slices"
	"time"

	"proofhouse/internal/proofhouse"
)

// LinkID names a link: "link-" and the beginning of its secret's hash, by which the house finds it again.
type LinkID string

// Link lets whoever has its secret read one packet that went out, and answer it, without an account. It is given by who released the packet, ends by itself
// and can be ended before. Of the secret the house has the hash alone.
type Link struct {
	ID      LinkID           `json:"id"`
	Made    time.Time        `json:"made"`
	By      proofhouse.Actor `json:"by"`
	Expires time.Time        `json:"expires"`
	Ended   time.Time        `json:"ended,omitzero"`

	hash string
}

// Holds says whether the link opens anything at now.
func (l Link) Holds(now time.Time) bool { return l.Ended.IsZero() && now.Before(l.Expires) }

const (
	// LinkLife is how long a link lasts at most.
	LinkLife = 90 * 24 * time.Hour
	// maxLinks is how many links of a packet may hold at once.
	maxLinks = 8
	// linkName is how many letters of the hash are in a link's name.
	linkName = 20
)

var links = proofhouse.SecretKind{Prefix: "phm_", Word: "proofhouse packet"}

// NewLinkSecret is a fresh secret of a link, which is shown once.
func NewLinkSecret() string { return links.New() }

// HashLink is the link of a secret: its name, and the hash that is kept. ok is false for what NewLinkSecret cannot have made.
func HashLink(secret string) (id LinkID, hash string, ok bool) {
	hash, ok = links.Hash(secret)
	if !ok {
		return "", "", false
	}
	return LinkID("link-" + hash[:linkName]), hash, true
}

// Maintainer is whoever acts by a link: the house knows them by nothing else.
func Maintainer(l LinkID) proofhouse.Actor {
	return proofhouse.Actor{Organisation: "project", Person: proofhouse.PersonID(l)}
}

var errNoLink = proofhouse.Errorf(proofhouse.NotFound, nil, "there is no such packet")

// Linked is the packet that a secret with that hash opens at now. Whatever opens nothing, for whatever reason, is proofhouse.NotFound with one sentence.
func (p Project) Linked(hash string, now time.Time) (Packet, Link, error) {
	for _, q := range p.Packets {
		for _, l := range q.Links {
			if subtle.ConstantTimeCompare([]byte(l.hash), []byte(hash)) == 1 && l.Holds(now) && !q.Released.IsZero() {
				return q, l, nil
			}
		}
	}
	return Packet{}, Link{}, errNoLink
}

// The acts of links.
type (
	// GiveLink gives a link to a packet that went out.
	GiveLink struct {
		Packet  PacketID  `json:"packet"`
		ID      LinkID    `json:"id"`
		Hash    string    `json:"hash"`
		Expires time.Time `json:"expires"`
	}
	// EndLink ends one before its time.
	EndLink struct {
		Packet PacketID `json:"packet"`
		Link   LinkID   `json:"link"`
	}
	// Stop says by a link that the project wants no more packets. It holds until the project declares anew.
	Stop struct {
		Packet PacketID `json:"packet"`
		Link   LinkID   `json:"link"`
	}
)

// packet is one to be changed.
func (p *Project) packet(id PacketID) (*Packet, error) {
	i := slices.IndexFunc(p.Packets, func(q Packet) bool { return q.ID == id })
	if i < 0 {
		return nil, proofhouse.Errorf(proofhouse.NotFound, nil, "there is no such packet")
	}
	return &p.Packets[i], nil
}

// holds says whether a link of the packet does.
func (p Packet) holds(id LinkID, now time.Time) error {
	if !slices.ContainsFunc(p.Links, func(l Link) bool { return l.ID == id && l.Holds(now) }) {
		return errNoLink
	}
	return nil
}

func (a GiveLink) apply(p *Project, by proofhouse.Actor, now time.Time) error {
	q, err := p.packet(a.Packet)
	switch {
	case err != nil:
		return err
	case q.Released.IsZero():
		return refused("the packet has not gone out: a link is given to one that was released")
	case q.By.Person != by.Person || q.By.Organisation != by.Organisation:
		return refused("who released the packet gives a link to it")
	case len(a.Hash) < linkName || a.ID != LinkID("link-"+a.Hash[:linkName]):
		return invalid("a link is named for its secret's hash")
	case !a.Expires.After(now) || a.Expires.After(now.Add(LinkLife)):
		return invalid("a link lasts at most %d days", int(LinkLife/(24*time.Hour)))
	}
	held := 0
	for _, l := range q.Links {
		if l.Holds(now) {
			held++
		}
	}
	if held >= maxLinks {
		return proofhouse.Errorf(proofhouse.Limit, nil, "%d links to this packet hold: end one of them first", held)
	}
	q.Links = append(slices.Clip(q.Links), Link{ID: a.ID, Made: now, By: by, Expires: a.Expires, hash: a.Hash})
	return nil
}

func (a EndLink) apply(p *Project, _ proofhouse.Actor, now time.Time) error {
	q, err := p.packet(a.Packet)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(q.Links, func(l Link) bool { return l.ID == a.Link })
	switch {
	case i < 0:
		return proofhouse.Errorf(proofhouse.NotFound, nil, "there is no such link")
	case !q.Links[i].Holds(now):
		return proofhouse.Errorf(proofhouse.Conflict, nil, "the link has ended already")
	}
	q.Links = slices.Clone(q.Links)
	q.Links[i].Ended = now
	return nil
}

func (a Stop) apply(p *Project, _ proofhouse.Actor, now time.Time) error {
	q, err := p.packet(a.Packet)
	if err == nil {
		err = q.holds(a.Link, now)
	}
	if err != nil {
		return err
	}
	if !p.Stopped.IsZero() {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "the project has said so already")
	}
	p.Stopped = now
	return nil
}
