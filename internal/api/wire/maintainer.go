package wire

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"time"

	"proofhouse/internal/clearing"
)

// WholePacket is the archive with all files of a packet, and PacketFiles are those that can be had by themselves, where the packet has them.
const WholePacket = "packet.zip"

// MaxSecret bounds the secret of a link, in bytes.
const MaxSecret = 128

// PacketFiles are files of a packet's archive.
var PacketFiles = []string{"proof", "fix.diff", "regression.diff"}

type (
	// NewLink gives a link to a packet.
	NewLink struct {
		Days int `json:"days" minimum:"1" maximum:"90" doc:"how long it holds"`
	}
	// NewLinkDone answers NewLink.
	NewLinkDone struct {
		Link    clearing.LinkID `json:"link"`
		Secret  string          `json:"secret" doc:"what the maintainer needs; it is shown this once"`
		Expires time.Time       `json:"expires"`
	}
	// LinkSecret is what whoever has a link sends.
	LinkSecret struct {
		Secret string `json:"secret" maxLength:"128"`
	}
	// LinkedFile asks for a file of the packet.
	LinkedFile struct {
		LinkSecret
		Name string `json:"name" enum:"packet.zip,proof,fix.diff,regression.diff"`
	}
	// LinkedReply is the answer of whoever has a link.
	LinkedReply struct {
		LinkSecret
		NewReply
	}
	// LinkedPacket is a packet as the project's people read it by a link.
	LinkedPacket struct {
		Project  string          `json:"project"`
		Letter   string          `json:"letter"`
		Files    []string        `json:"files" nullable:"false" doc:"that go with it"`
		Sent     time.Time       `json:"sent"`
		Until    time.Time       `json:"until" doc:"until when the link holds"`
		Answer   clearing.Answer `json:"answer,omitempty"`
		Answered time.Time       `json:"answered,omitzero"`
		Note     string          `json:"note,omitempty"`
		// Declaration is what the project declared of how it wants to be told.
		Declaration clearing.Declaration `json:"declaration"`
		Blocked     string               `json:"blocked,omitempty" doc:"why nothing more goes out to the project now"`
		Stopped     time.Time            `json:"stopped,omitzero" doc:"since when the project wants nothing more"`
	}
)

// GiveLink gives a link to a packet that went out.
func (c Client) GiveLink(ctx context.Context, id clearing.PacketID, days int) (NewLinkDone, error) {
	return send[NewLinkDone](ctx, c, packetPath(id)+"/links", NewLink{days}, nil)
}

// EndLink ends one.
func (c Client) EndLink(ctx context.Context, id clearing.PacketID, link clearing.LinkID) (PacketView, error) {
	return send[PacketView](ctx, c, packetPath(id)+"/links/"+url.PathEscape(string(link))+"/end", struct{}{}, nil)
}

// Linked is the packet that a secret opens.
func (c Client) Linked(ctx context.Context, secret string) (LinkedPacket, error) {
	return send[LinkedPacket](ctx, c, "/v1/maintainer/packet", LinkSecret{secret}, nil)
}

// LinkedFile writes a file of that packet to w.
func (c Client) LinkedFile(ctx context.Context, secret, name string, w io.Writer) error {
	if c.HTTP == nil {
		c.HTTP = slow
	}
	b, err := json.Marshal(LinkedFile{LinkSecret{secret}, name})
	if err != nil {
		return err
	}
	resp, err := c.do(ctx, http.MethodPost, "/v1/maintainer/file", b, nil)
	return save(resp, err, w)
}

// LinkedReply answers that packet.
func (c Client) LinkedReply(ctx context.Context, secret string, r NewReply) (LinkedPacket, error) {
	return send[LinkedPacket](ctx, c, "/v1/maintainer/reply", LinkedReply{LinkSecret{secret}, r}, nil)
}

// LinkedStop asks that nothing more is sent.
func (c Client) LinkedStop(ctx context.Context, secret string) (LinkedPacket, error) {
	return send[LinkedPacket](ctx, c, "/v1/maintainer/stop", LinkSecret{secret}, nil)
}
