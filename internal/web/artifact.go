package web

import (
	"bytes"
	"io"
	"strconv"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/web/page"
)

// artifacts adds what is sealed in cases, and its end.
func (s site) artifacts() {
	s.page("GET /cases/{case}/artifacts", func(v visit) error {
		c, err := v.client.Case(v.r.Context(), v.id())
		if err != nil {
			return err
		}
		sealed, err := v.client.Artifacts(v.r.Context(), c.ID)
		if err != nil {
			return err
		}
		asked, err := v.client.Requests(v.r.Context(), c.ID)
		if err != nil {
			return err
		}
		q := v.r.URL.Query()
		vault := page.Vault{Case: c, All: sealed.Artifacts, Asked: asked, Said: said(q)}
		if n, err := strconv.Atoi(q.Get("from")); err == nil && n > 0 {
			vault.From = n
		}
		if q.Get("done") == "destroyed" {
			vault.Said = "It is destroyed. The certificate says what went, and who approved."
		}
		return v.show(page.Artifacts(v.frame("Artifacts", "docket"), vault))
	})
	s.page("GET /cases/{case}/artifacts/{artifact}/content", func(v visit) error {
		id := proofhouse.Digest(v.r.PathValue("artifact"))
		return v.pass("artifact-"+id.Short(), func(client wire.Client, w io.Writer) error {
			return client.Artifact(v.r.Context(), v.id(), id, w)
		})
	})
	s.page("GET /cases/{case}/certificates/{number}", func(v visit) error {
		c, err := v.client.Case(v.r.Context(), v.id())
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(v.r.PathValue("number"))
		if err != nil || n < 1 || n > len(c.Destructions) || c.Destructions[n-1].Done.IsZero() {
			return proofhouse.Errorf(proofhouse.NotFound, err, "there is no such certificate")
		}
		return v.file("certificate-"+strconv.Itoa(n), append(bytes.Join(c.Destructions[n-1].Statements, []byte("\n")), '\n'))
	})
	s.page("POST /cases/{case}/destroy", func(v visit) error {
		f, err := v.form()
		if err != nil {
			return err
		}
		artifact, request := proofhouse.Digest(f.text("artifact")), f.text("request")
		whole := artifact == ""
		if f.Get("confirm") != "yes" || whole && f.text("name") != string(v.id()) {
			c, err := v.client.Case(v.r.Context(), v.id())
			if err != nil {
				return err
			}
			sealed, err := v.client.Artifacts(v.r.Context(), c.ID)
			if err != nil {
				return err
			}
			return v.show(page.Destroy(v.frame("Once more", "docket"), page.Vault{Case: c, All: sealed.Artifacts}, artifact, request, f.Has("confirm")))
		}
		if whole {
			d, err := v.client.DestroyAll(v.r.Context(), v.id(), request, "")
			if err != nil {
				return err
			}
			// Not after a redirect: afterwards nothing of the case opens, this page neither.
			return v.show(page.Gone(v.frame("The case is destroyed", "docket"), v.id(), d))
		}
		if _, err := v.client.Destroy(v.r.Context(), v.id(), artifact, request, ""); err != nil {
			return err
		}
		return v.to("/cases/" + string(v.id()) + "/artifacts?done=destroyed")
	})
}
