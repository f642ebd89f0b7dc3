package api

import (
	"archive/zip"
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"time"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/clearing"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
)

// links adds the endpoints by which who released a packet gives links to it, and ends them.
func (s server) links() {
	type giveIn struct {
		PacketIn
		Body wire.NewLink
	}
	add(s, operation{
		method: "POST", path: "/v1/packets/{packet}/links", id: "packets-link", summary: "Give a link to a packet that went out", status: http.StatusCreated,
		description: "For whoever released it and may read the proofs that it is of. Whoever has the secret reads this packet and answers it, without an account; it is in this answer and nowhere else.",
	}, func(ctx context.Context, who policy.Person, in giveIn) (*struct{ Body wire.NewLinkDone }, error) {
		if _, _, err := s.readable(ctx, who, in.Packet); err != nil {
			return nil, err
		}
		secret := clearing.NewLinkSecret()
		id, hash, _ := clearing.HashLink(secret)
		expires := s.Now().UTC().Truncate(time.Microsecond).Add(time.Duration(in.Body.Days) * 24 * time.Hour)
		if _, err := s.onPacket(ctx, who, in.Packet, clearing.GiveLink{Packet: in.Packet, ID: id, Hash: hash, Expires: expires}); err != nil {
			return nil, err
		}
		return &struct{ Body wire.NewLinkDone }{wire.NewLinkDone{Link: id, Secret: secret, Expires: expires}}, nil
	})
	type endIn struct {
		PacketIn
		Link clearing.LinkID `path:"link" maxLength:"100"`
		Body nothing
	}
	add(s, operation{method: "POST", path: "/v1/packets/{packet}/links/{link}/end", id: "packets-unlink", summary: "End a link to a packet before its time", description: "For coordinators."},
		func(ctx context.Context, who policy.Person, in endIn) (*packetOut, error) {
			return s.onPacket(ctx, who, in.Packet, clearing.EndLink{Packet: in.Packet, Link: in.Link})
		})
}

// secretIn is a request of whoever has a link. Its secret is in the body, since addresses are written down on the way.
type secretIn struct{ Body wire.LinkSecret }

// maintainer adds the endpoints of whoever has a link to a packet. They have no account: the secret is what lets them, to this packet and for its time, and all that opens nothing
// is answered in the same words.
func (s server) maintainer() {
	const about = "For whoever has a link to the packet."
	public(s, operation{method: "POST", path: "/v1/maintainer/packet", id: "maintainer-packet", summary: "Read a packet by a link", description: about},
		func(ctx context.Context, in secretIn) (*struct{ Body wire.LinkedPacket }, error) {
			p, q, l, err := s.linked(ctx, in.Body.Secret)
			if err != nil {
				return nil, err
			}
			return s.linkedView(ctx, p, q, l)
		})
	type fileIn struct {
		Body wire.LinkedFile
	}
	public(s, operation{
		media: "application/octet-stream", method: "POST", path: "/v1/maintainer/file", id: "maintainer-file", summary: "A file that goes with a packet, by a link",
		description: about + " packet.zip is all of them.",
	}, func(ctx context.Context, in fileIn) (*fileOut, error) {
		p, q, _, err := s.linked(ctx, in.Body.Secret)
		if err != nil {
			return nil, err
		}
		b, err := s.Clearing.File(ctx, p.Purl, q.Archive)
		if err == nil && in.Body.Name != wire.WholePacket {
			b, err = member(b, in.Body.Name)
		}
		return &fileOut{Type: "application/octet-stream", Body: b}, err
	})
	type replyIn struct {
		Body wire.LinkedReply
	}
	public(s, operation{method: "POST", path: "/v1/maintainer/reply", id: "maintainer-reply", summary: "Answer a packet by a link", description: about + " \"not a bug\" takes a note that says why."},
		func(ctx context.Context, in replyIn) (*struct{ Body wire.LinkedPacket }, error) {
			return s.byLink(ctx, in.Body.Secret, func(q clearing.Packet, l clearing.Link) clearing.Act {
				return clearing.Reply{Packet: q.ID, Answer: in.Body.Answer, Note: in.Body.Note, Link: l.ID}
			})
		})
	public(s, operation{method: "POST", path: "/v1/maintainer/stop", id: "maintainer-stop", summary: "Ask by a link that nothing more is sent", description: about + " It holds until the project declares anew how it wants to be told."},
		func(ctx context.Context, in secretIn) (*struct{ Body wire.LinkedPacket }, error) {
			return s.byLink(ctx, in.Body.Secret, func(q clearing.Packet, l clearing.Link) clearing.Act {
				return clearing.Stop{Packet: q.ID, Link: l.ID}
			})
		})
}

// linked is what a secret opens. A secret that opens nothing, whatever the reason, is proofhouse.NotFound in one sentence.
func (s server) linked(ctx context.Context, secret string) (clearing.Project, clearing.Packet, clearing.Link, error) {
	id, hash, ok := clearing.HashLink(secret)
	if !ok {
		_, l, err := clearing.Project{}.Linked("", s.Now())
		return clearing.Project{}, clearing.Packet{}, l, err
	}
	p, _, err := s.Clearing.Find(ctx, string(id))
	if err != nil && proofhouse.KindOf(err) != proofhouse.NotFound {
		return clearing.Project{}, clearing.Packet{}, clearing.Link{}, err
	}
	q, l, err := p.Linked(hash, s.Now())
	return p, q, l, err
}

// byLink does what whoever has a link does.
func (s server) byLink(ctx context.Context, secret string, do func(clearing.Packet, clearing.Link) clearing.Act) (*struct{ Body wire.LinkedPacket }, error) {
	p, q, l, err := s.linked(ctx, secret)
	if err != nil {
		return nil, err
	}
	if p, err = s.change(ctx, p.Purl, clearing.Event{By: clearing.Maintainer(l.ID), Act: do(q, l)}); err != nil {
		return nil, err
	}
	if q, err = p.Packet(q.ID); err != nil {
		return nil, err
	}
	return s.linkedView(ctx, p, q, l)
}

// linkedView is a packet as whoever has a link to it reads it: nothing of who found what, or of other packets.
func (s server) linkedView(ctx context.Context, p clearing.Project, q clearing.Packet, l clearing.Link) (*struct{ Body wire.LinkedPacket }, error) {
	text, err := s.Clearing.File(ctx, p.Purl, q.Text)
	if err != nil {
		return nil, err
	}
	archive, err := s.Clearing.File(ctx, p.Purl, q.Archive)
	if err != nil {
		return nil, err
	}
	out := wire.LinkedPacket{
		Project: p.Purl, Letter: string(text), Sent: q.Released, Until: l.Expires, Answer: q.Answer, Answered: q.Answered, Note: q.Note,
		Declaration: p.Declaration.Or(), Blocked: p.Blocked(s.Now()), Stopped: p.Stopped, Files: []string{wire.WholePacket},
	}
	for _, name := range wire.PacketFiles {
		if _, err := member(archive, name); err == nil {
			out.Files = append(out.Files, name)
		}
	}
	return &struct{ Body wire.LinkedPacket }{out}, nil
}

// member is a file of a packet's archive, which the house has made.
func member(archive []byte, name string) ([]byte, error) {
	none := proofhouse.Errorf(proofhouse.NotFound, nil, "the packet has no such file")
	if !slices.Contains(wire.PacketFiles, name) {
		return nil, none
	}
	z, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.Integrity, err, "the packet's archive is not as it was made")
	}
	for _, f := range z.File {
		if f.Name != name {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return nil, proofhouse.Errorf(proofhouse.Integrity, err, "the packet's archive is not as it was made")
		}
		defer r.Close()
		return io.ReadAll(io.LimitReader(r, maxReport))
	}
	return nil, none
}
