package api

import (
	"context"
	"net/http"
	"slices"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/clearing"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
)

// clusters adds the endpoints of what one fix mends.
func (s server) clusters() {
	add(s, operation{
		method: "GET", path: "/v1/findings/{finding}/cluster", id: "clusters-show", summary: "The findings that one fix mends, with the evidence", description: "For coordinators and auditors.",
	}, func(ctx context.Context, who policy.Person, in FindingIn) (*clusterOut, error) {
		p, err := s.coordinated(ctx, who, "finding", string(in.Finding), policy.ReadProject)
		if err != nil {
			return nil, err
		}
		return clusterView(p, in.Finding)
	})
	type decideIn struct {
		FindingIn
		Body wire.NewDecision
	}
	add(s, operation{
		method: "POST", path: "/v1/findings/{finding}/decisions", id: "clusters-decide", summary: "Merge two findings, or keep them apart",
		description: "For coordinators. A person's word beats what was executed, the last one holds, and so each merge can be taken back.",
	}, func(ctx context.Context, who policy.Person, in decideIn) (*clusterOut, error) {
		a := clearing.Decide{A: in.Finding, B: in.Body.Other, Same: in.Body.Same, Reason: in.Body.Reason}
		p, err := s.coordinated(ctx, who, "finding", string(in.Finding), policy.Coordinate(clearing.NameOf(a)))
		if err != nil {
			return nil, err
		}
		if p, err = s.change(ctx, p.Purl, clearing.Event{By: coordinator(who), Act: a}); err != nil {
			return nil, err
		}
		return clusterView(p, in.Finding)
	})
}

func clusterView(p clearing.Project, id clearing.FindingID) (*clusterOut, error) {
	c, err := p.Cluster(id)
	if err != nil {
		return nil, err
	}
	out := wire.ClusterView{Cluster: c, Project: p.Purl, Lines: []wire.FindingLine{}, Edges: []clearing.Edge{}, Near: []clearing.Edge{}, Patches: []clearing.Patch{}, Cells: []clearing.Cell{}, Packet: packetOf(p, c)}
	proofs := map[proofhouse.Digest]bool{}
	for _, id := range c.Members {
		if f, err := p.Finding(id); err == nil {
			out.Lines = append(out.Lines, line(f))
			proofs[f.Files.Proof] = true
		}
	}
	out.Edges = append(out.Edges, p.Edges(c)...)
	out.Near = append(out.Near, p.Possible(c)...)
	for _, q := range p.Patches {
		if slices.Contains(c.Members, q.For) {
			out.Patches = append(out.Patches, q)
		}
	}
	for _, cell := range p.Cells {
		if proofs[cell.Proof] {
			out.Cells = append(out.Cells, cell)
		}
	}
	if best, ok := p.BestPatch(c); ok {
		out.Best = best.ID
	}
	return &clusterOut{out}, nil
}

// projects adds the endpoints of projects and what they declare.
func (s server) projects() {
	type listIn struct {
		Credential
		After string `query:"after" maxLength:"200" doc:"where the page before ended (next)"`
		Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	}
	add(s, operation{method: "GET", path: "/v1/projects", id: "projects-list", summary: "The projects in which there are findings", description: "For coordinators and auditors; others have none."},
		func(ctx context.Context, who policy.Person, in listIn) (*struct{ Body wire.Projects }, error) {
			out := wire.Projects{Projects: []string{}}
			purls, next, err := s.Clearing.Projects(ctx, in.After, in.Limit)
			if err != nil {
				return nil, err
			}
			for _, purl := range purls {
				p, err := s.Clearing.Project(ctx, purl)
				if err != nil {
					return nil, err
				}
				if s.mayIn(who, p, policy.ReadProject) == nil {
					out.Projects, out.Next = append(out.Projects, purl), next
				}
			}
			return &struct{ Body wire.Projects }{out}, nil
		})
	type ProjectIn struct {
		Credential
		Purl string `query:"purl" required:"true" maxLength:"512" doc:"a package URL without a version"`
	}
	find := func(ctx context.Context, who policy.Person, purl string, what policy.Action) (clearing.Project, error) {
		p, err := s.Clearing.Project(ctx, purl)
		if err != nil {
			return p, err
		}
		if err := s.mayIn(who, p, what); err != nil {
			return p, err
		}
		return p, nil
	}
	add(s, operation{method: "GET", path: "/v1/project", id: "projects-show", summary: "A project: what waits, what went out, what it declared", description: "For coordinators and auditors."},
		func(ctx context.Context, who policy.Person, in ProjectIn) (*projectOut, error) {
			p, err := find(ctx, who, in.Purl, policy.ReadProject)
			if err == nil && p.Version == 0 {
				err = policy.NotFound(policy.Project{})
			}
			if err != nil {
				return nil, err
			}
			return s.projectView(p), nil
		})
	type declareIn struct {
		ProjectIn
		Body wire.NewDeclaration
	}
	add(s, operation{
		method: "POST", path: "/v1/project/declaration", id: "projects-declare", summary: "Enter a project's declaration",
		description: "For coordinators: what the project says in its file of window, capacity, style and threat model. The project needs no account, and no finding.",
	}, func(ctx context.Context, who policy.Person, in declareIn) (*projectOut, error) {
		a := clearing.Declare{}
		if _, err := find(ctx, who, in.Purl, policy.Coordinate(clearing.NameOf(a))); err != nil {
			return nil, err
		}
		var err error
		if a.Declaration, err = clearing.ParseDeclaration([]byte(in.Body.TOML)); err != nil {
			return nil, err
		}
		if purl, err := clearing.ProjectOf(in.Purl + "@0"); err != nil || purl != in.Purl {
			return nil, proofhouse.Errorf(proofhouse.Invalid, err, "%q is not a project: write a package URL without a version, such as pkg:npm/minimist", in.Purl)
		}
		p, err := s.change(ctx, in.Purl, clearing.Event{By: coordinator(who), Act: a})
		if err != nil {
			return nil, err
		}
		return s.projectView(p), nil
	})
}

func (s server) projectView(p clearing.Project) *projectOut {
	out := wire.ProjectView{
		Purl: p.Purl, Version: p.Version, Declaration: p.Declaration.Or(), Blocked: p.Blocked(s.Now()), States: map[string]int{}, Bugs: []wire.Bug{}, Packets: append([]clearing.Packet{}, p.Packets...),
	}
	for _, f := range p.Findings {
		out.States[string(f.State())]++
	}
	for _, c := range p.Clusters() {
		out.Bugs = append(out.Bugs, bugOf(p, c))
	}
	return &projectOut{out}
}

// packets adds the endpoints of packets. Nothing is sent by itself: to release one is a person's act, and what is sent is the text and the archive that a person fetches.
func (s server) packets() {
	type makeIn struct {
		Credential
		Body wire.NewPacket
	}
	add(s, operation{
		method: "POST", path: "/v1/packets", id: "packets-make", summary: "Make the packet of a bug, to be read by a person", status: http.StatusCreated,
		description: "For coordinators who may read the proofs that it is of. Nothing goes out by it.",
	}, func(ctx context.Context, who policy.Person, in makeIn) (*packetOut, error) {
		p, err := s.coordinated(ctx, who, "finding", string(in.Body.Finding), policy.Coordinate(clearing.NameOf(clearing.Make{})))
		if err != nil {
			return nil, err
		}
		c, err := p.Cluster(in.Body.Finding)
		if err != nil {
			return nil, err
		}
		if err := s.mayProofs(who, p, c.Members); err != nil {
			return nil, err
		}
		text, archive, patch, err := s.Clearing.Packet(ctx, p, c, in.Body.Contact)
		if err != nil {
			return nil, err
		}
		a := clearing.Make{ID: clearing.NewPacketID(), Cluster: c.ID, Patch: patch}
		if a.Text, err = s.Clearing.Keep(ctx, p.Purl, text); err != nil {
			return nil, err
		}
		if a.Archive, err = s.Clearing.Keep(ctx, p.Purl, archive); err != nil {
			return nil, err
		}
		if p, err = s.change(ctx, p.Purl, clearing.Event{By: coordinator(who), Act: a}); err != nil {
			return nil, err
		}
		return s.packetView(ctx, who, p, a.ID)
	})
	add(s, operation{method: "GET", path: "/v1/packets/{packet}", id: "packets-show", summary: "A packet with its text", description: "For coordinators and auditors; the text is for coordinators who may read the proofs that it is of."},
		func(ctx context.Context, who policy.Person, in PacketIn) (*packetOut, error) {
			p, err := s.coordinated(ctx, who, "packet", string(in.Packet), policy.ReadProject)
			if err != nil {
				return nil, err
			}
			return s.packetView(ctx, who, p, in.Packet)
		})
	add(s, operation{
		media: "application/zip", method: "GET", path: "/v1/packets/{packet}/archive", id: "packets-archive", summary: "What goes out with a packet", description: "For coordinators who may read the proofs that it is of: letter, target, proof, patch and test.",
	}, func(ctx context.Context, who policy.Person, in PacketIn) (*fileOut, error) {
		p, q, err := s.readable(ctx, who, in.Packet)
		if err != nil {
			return nil, err
		}
		b, err := s.Clearing.File(ctx, p.Purl, q.Archive)
		return &fileOut{Type: "application/zip", Body: b}, err
	})
	type releaseIn struct {
		PacketIn
		Body nothing
	}
	add(s, operation{
		method: "POST", path: "/v1/packets/{packet}/release", id: "packets-release", summary: "Say that you send a packet",
		description: "For coordinators who may read the proofs that it is of. Refused while the project is closed or has had what it takes.",
	}, func(ctx context.Context, who policy.Person, in releaseIn) (*packetOut, error) {
		if _, _, err := s.readable(ctx, who, in.Packet); err != nil {
			return nil, err
		}
		return s.onPacket(ctx, who, in.Packet, clearing.Release{Packet: in.Packet})
	})
	type replyIn struct {
		PacketIn
		Body wire.NewReply
	}
	add(s, operation{method: "POST", path: "/v1/packets/{packet}/reply", id: "packets-reply", summary: "Note what the project said to a packet", description: "For coordinators."},
		func(ctx context.Context, who policy.Person, in replyIn) (*packetOut, error) {
			return s.onPacket(ctx, who, in.Packet, clearing.Reply{Packet: in.Packet, Answer: in.Body.Answer, Note: in.Body.Note})
		})
}

// onPacket does a coordinator's act on a packet.
func (s server) onPacket(ctx context.Context, who policy.Person, id clearing.PacketID, a clearing.Act) (*packetOut, error) {
	p, err := s.coordinated(ctx, who, "packet", string(id), policy.Coordinate(clearing.NameOf(a)))
	if err != nil {
		return nil, err
	}
	if p, err = s.change(ctx, p.Purl, clearing.Event{By: coordinator(who), Act: a}); err != nil {
		return nil, err
	}
	return s.packetView(ctx, who, p, id)
}

// readable is a packet that who may read whole, and so release.
func (s server) readable(ctx context.Context, who policy.Person, id clearing.PacketID) (clearing.Project, clearing.Packet, error) {
	p, err := s.coordinated(ctx, who, "packet", string(id), policy.Coordinate(clearing.NameOf(clearing.Release{})))
	if err != nil {
		return p, clearing.Packet{}, err
	}
	q, err := p.Packet(id)
	if err == nil {
		err = s.mayProofs(who, p, q.Members)
	}
	return p, q, err
}

// mayProofs says whether who may read the proofs of findings: the packet of a bug tells what is in them.
func (s server) mayProofs(who policy.Person, p clearing.Project, members []clearing.FindingID) error {
	for _, id := range members {
		f, err := p.Finding(id)
		if err != nil {
			return err
		}
		if err := s.Guard.Check(policy.Principal{Person: who}, policy.ReadProof, resource(f)); err != nil {
			return err
		}
	}
	return nil
}

// packetView is a packet, with its letter for whoever may release it and read the proofs.
func (s server) packetView(ctx context.Context, who policy.Person, p clearing.Project, id clearing.PacketID) (*packetOut, error) {
	q, err := p.Packet(id)
	if err != nil {
		return nil, err
	}
	out := wire.PacketView{Packet: q, Project: p.Purl}
	if s.mayIn(who, p, policy.Coordinate(clearing.NameOf(clearing.Release{}))) == nil && s.mayProofs(who, p, q.Members) == nil {
		text, err := s.Clearing.File(ctx, p.Purl, q.Text)
		if err != nil {
			return nil, err
		}
		out.Letter = string(text)
	}
	if q.Released.IsZero() {
		out.Blocked = p.Blocked(s.Now())
	}
	return &packetOut{out}, nil
}
