package web

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/clearing"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/web/page"
)

const (
	// maxFiling bounds a report with its files as a browser sends it, in bytes. The API bounds each part.
	maxFiling = 36 << 20
	// filingTime is how long one may take to arrive.
	filingTime = 5 * time.Minute
	// maxPortal is how many cases the portal looks through.
	maxPortal = 200
	// maxRecords is how many findings an export has.
	maxRecords = 2000
)

// portal adds what partners and finders need: what they may use, and what they bring.
func (s site) portal() {
	s.page("GET /access", func(v visit) error {
		list, err := v.client.List(v.r.Context(), wire.Query{Limit: maxPortal})
		if err != nil {
			return err
		}
		var mine []page.Lent
		for _, l := range list.Cases {
			if l.Destroyed || !slices.ContainsFunc(l.Members, func(m proofhouse.Actor) bool {
				return m.Role == proofhouse.Partner && m.Organisation == v.me.Organisation && m.Person == v.me.ID
			}) {
				continue
			}
			c, err := v.client.Case(v.r.Context(), l.ID)
			if err != nil {
				return err
			}
			uses, err := v.client.Uses(v.r.Context(), l.ID)
			if err != nil {
				return err
			}
			mine = append(mine, page.Lent{Case: c, Uses: uses})
		}
		return v.show(page.Portal(v.frame("Your access", "access"), mine))
	})
	s.page("GET /findings/new", func(v visit) error {
		return v.show(page.NewFinding(v.frame("Bring a finding", "findings")))
	})
	filing := make(chan struct{}, 2) // their files are held in memory, and nowhere on a disk in the open
	s.sized("POST /findings", maxFiling, func(v visit) error {
		select {
		case filing <- struct{}{}:
			defer func() { <-filing }()
		default:
			return proofhouse.Errorf(proofhouse.Unavailable, nil, "others bring findings at this moment")
		}
		if err := http.NewResponseController(v.w).SetReadDeadline(time.Now().Add(filingTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		r, err := readFiling(v.r)
		if err != nil {
			return err
		}
		got, err := v.client.Submit(v.r.Context(), r, "")
		if err != nil {
			return err
		}
		return v.to("/findings/" + got.Receipt)
	})
	s.page("POST /findings/{finding}/withdraw", func(v visit) error {
		if v.r.PostFormValue("confirm") != "yes" {
			return v.show(page.TakeBack(v.frame("Once more", "findings"), v.finding()))
		}
		if _, err := v.client.TakeBack(v.r.Context(), v.finding()); err != nil {
			return err
		}
		return v.to("/findings/" + string(v.finding()))
	})
	s.page("POST /findings/{finding}/retry", func(v visit) error {
		if _, err := v.client.Retry(v.r.Context(), v.finding(), v.reason()); err != nil {
			return err
		}
		return v.to("/findings/" + string(v.finding()))
	})
	s.page("POST /findings/{finding}/patches", func(v visit) error {
		f, err := v.form()
		if err != nil {
			return err
		}
		p := wire.NewPatch{Fix: unix(f.Get("fix")), Regression: unix(f.Get("regression"))}
		if _, err := v.client.OfferPatch(v.r.Context(), v.finding(), p, ""); err != nil {
			return err
		}
		return v.to("/findings/" + string(v.finding()))
	})
	s.page("GET /findings/export", func(v visit) error {
		var b bytes.Buffer
		n := 0
		for after := ""; ; {
			list, err := v.client.Findings(v.r.Context(), "", "", after, 0)
			if err != nil {
				return err
			}
			for _, l := range list.Findings {
				if n++; n > maxRecords {
					return proofhouse.Errorf(proofhouse.Limit, nil, "there are more than %d: the API gives them page by page", maxRecords)
				}
				f, err := v.client.Finding(v.r.Context(), l.ID)
				if err != nil {
					return err
				}
				if err := json.NewEncoder(&b).Encode(f); err != nil {
					return err
				}
			}
			if after = list.Next; after == "" {
				return v.file("findings.jsonl", b.Bytes())
			}
		}
	})
}

// reason is the one that was given, in one line.
func (v visit) reason() string { return strings.Join(strings.Fields(v.r.PostFormValue("reason")), " ") }

// unix is a text with the line ends that it had before a browser sent it.
func unix(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

// readFiling reads a report as a browser sends it.
func readFiling(r *http.Request) (clearing.Report, error) {
	var out clearing.Report
	err := eachPart(r, func(name string, b []byte) { readPart(&out, name, b) })
	return out, err
}

func readPart(out *clearing.Report, part string, b []byte) {
	attach := func(name, what, media, data string) {
		if len(b) > 0 {
			out.Attachments = append(out.Attachments, clearing.Attachment{Filename: name, Type: what, ContentType: media, Data: data})
		}
	}
	text := strings.TrimSpace(string(b))
	switch part {
	case "purl":
		out.Purl = text
	case "title":
		out.Title = text
	case "description":
		out.Description = unix(text)
	case "ai":
		out.AI = unix(text)
	case "target":
		attach("target.zip", clearing.OfTarget, "application/zip", base64.StdEncoding.EncodeToString(b))
	case "proof":
		attach("proof", clearing.OfProof, "application/octet-stream", base64.StdEncoding.EncodeToString(b))
	case "fix":
		attach("fix.diff", clearing.OfPatch, "text/plain", string(b))
	case "regression":
		attach("regression.diff", clearing.OfPatch, "text/plain", string(b))
	}
}
