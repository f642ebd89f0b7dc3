package web

import (
	"encoding/json"
	"net/url"
	"strconv"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/web/page"
)

// criteria adds the pages of the criteria of a case: reading a version, and registering one. They are countersigned as all is that somebody signs.
func (s site) criteria() {
	read := func(v visit) error {
		version, err := versionOf(v.r.PathValue("version"))
		if err != nil {
			return err
		}
		c, err := v.client.Case(v.r.Context(), v.id())
		if err != nil {
			return err
		}
		if version == 0 {
			version = len(c.Registrations)
		}
		if version < 1 || version > len(c.Registrations) {
			return proofhouse.Errorf(proofhouse.NotFound, nil, "there is no such version")
		}
		said := ""
		if v.r.URL.Query().Get("done") == "registered" {
			said = "They are registered, and stay as they are. The developer can countersign them now."
		}
		return v.show(page.Criteria(v.frame(c.Codename+": criteria", "docket"), c, c.Registrations[version-1], said))
	}
	s.page("GET /cases/{case}/criteria", read)
	s.page("GET /cases/{case}/criteria/{version}", read)
	s.page("GET /cases/{case}/criteria/new", func(v visit) error {
		c, err := v.mayDo(docket.KindRegister)
		if err != nil {
			return err
		}
		return v.show(page.NewCriteria(v.frame(c.Codename+": register criteria", "docket"), c))
	})
	s.page("POST /cases/{case}/criteria", func(v visit) error {
		c, err := v.mayDo(docket.KindRegister)
		if err != nil {
			return err
		}
		f, err := v.parts()
		if err != nil {
			return err
		}
		// What else the file has, the tasks of suites and their salts, is no part of the case, and is forgotten.
		var a docket.Register
		if err := json.Unmarshal([]byte(f.Get("file")), &a); err != nil {
			return proofhouse.Errorf(proofhouse.Invalid, err, "that file holds no criteria: `proofhouse criteria draft` makes one")
		}
		commitment, err := a.Criteria.Commit(a.Salt)
		if err != nil {
			return err
		}
		taken, err := json.Marshal(a)
		if err != nil {
			return err
		}
		if f.Get("confirm") != "yes" {
			return v.show(page.ReadCriteria(v.frame(c.Codename+": register criteria", "docket"), c, a.Criteria, commitment, string(taken), proofhouse.Token(20)))
		}
		did, err := v.client.Do(v.r.Context(), v.id(), a, wire.Options{Key: f.once(string(taken))})
		if err != nil {
			return err
		}
		return v.to("/cases/" + string(v.id()) + "/criteria/" + strconv.Itoa(len(did.Case.Registrations)) + "?" + url.Values{"done": {"registered"}}.Encode())
	})
}
