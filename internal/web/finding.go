package web

import (
	"bytes"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/clearing"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/web/page"
)

// findings adds the pages of findings, projects and packets.
func (s site) findings() {
	s.page("GET /findings", func(v visit) error {
		q := v.r.URL.Query()
		state, project := clearing.State(q.Get("state")), q.Get("project")
		list, err := v.client.Findings(v.r.Context(), state, project, q.Get("after"), 0)
		if err != nil {
			return err
		}
		return v.show(page.Findings(v.frame("Findings", "findings"), list, state, project))
	})
	s.page("GET /findings/{finding}", func(v visit) error {
		f, err := v.client.Finding(v.r.Context(), v.finding())
		if err != nil {
			return err
		}
		return v.show(page.Finding(v.frame(f.Claim.Title, "findings"), f))
	})
	s.page("GET /findings/{finding}/receipt", func(v visit) error {
		var b bytes.Buffer
		if err := v.client.FindingReceipt(v.r.Context(), v.finding(), &b); err != nil {
			return err
		}
		return v.file("receipt", b.Bytes())
	})
	s.page("GET /findings/{finding}/cluster", func(v visit) error {
		c, err := v.client.Cluster(v.r.Context(), v.finding())
		if err != nil {
			return err
		}
		return v.show(page.Cluster(v.frame("One bug", "findings"), c, v.finding()))
	})
	s.page("POST /findings/{finding}/decisions", func(v visit) error {
		same := v.r.PostFormValue("same")
		if same != "yes" && same != "no" {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "say whether it is the same bug or another")
		}
		d := wire.NewDecision{Other: clearing.FindingID(v.r.PostFormValue("other")), Same: same == "yes", Reason: v.r.PostFormValue("reason")}
		if _, err := v.client.Decide(v.r.Context(), v.finding(), d); err != nil {
			return err
		}
		return v.to("/findings/" + string(v.finding()) + "/cluster")
	})
	s.page("GET /projects", func(v visit) error {
		list, err := v.client.Projects(v.r.Context(), v.r.URL.Query().Get("after"))
		if err != nil {
			return err
		}
		return v.show(page.Projects(v.frame("Projects", "projects"), list))
	})
	s.page("GET /project", func(v visit) error {
		p, err := v.client.Project(v.r.Context(), v.r.URL.Query().Get("purl"))
		if err != nil {
			return err
		}
		return v.show(page.Project(v.frame(p.Purl, "projects"), p))
	})
	s.page("POST /packets", func(v visit) error {
		p, err := v.client.MakePacket(v.r.Context(), wire.NewPacket{Finding: clearing.FindingID(v.r.PostFormValue("finding")), Contact: v.r.PostFormValue("contact")})
		if err != nil {
			return err
		}
		return v.to("/packets/" + string(p.ID))
	})
	s.page("GET /packets/{packet}", func(v visit) error {
		p, err := v.client.Packet(v.r.Context(), v.packet())
		if err != nil {
			return err
		}
		return v.show(page.Packet(v.frame("Packet", "projects"), p))
	})
	s.page("GET /packets/{packet}/archive", func(v visit) error {
		var b bytes.Buffer
		if err := v.client.PacketArchive(v.r.Context(), v.packet(), &b); err != nil {
			return err
		}
		return v.file("packet.zip", b.Bytes())
	})
	s.page("POST /packets/{packet}/release", func(v visit) error {
		if v.r.PostFormValue("confirm") != "yes" {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "a person releases a packet who has read it: tick the box to say so")
		}
		if _, err := v.client.ReleasePacket(v.r.Context(), v.packet()); err != nil {
			return err
		}
		return v.to("/packets/" + string(v.packet()))
	})
	s.page("POST /packets/{packet}/reply", func(v visit) error {
		if _, err := v.client.Reply(v.r.Context(), v.packet(), wire.NewReply{Answer: clearing.Answer(v.r.PostFormValue("answer")), Note: v.r.PostFormValue("note")}); err != nil {
			return err
		}
		return v.to("/packets/" + string(v.packet()))
	})
}

func (v visit) finding() clearing.FindingID { return clearing.FindingID(v.r.PathValue("finding")) }

func (v visit) packet() clearing.PacketID { return clearing.PacketID(v.r.PathValue("packet")) }
