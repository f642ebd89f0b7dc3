package web

import (
	"strconv"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/web/page"
)

// samples adds the pages of single samples.
func (s site) samples() {
	s.page("GET /cases/{case}/runs/{run}/samples/{sample}", func(v visit) error {
		view, done, err := v.sample()
		if err != nil {
			return err
		}
		defer done()
		q := v.r.URL.Query()
		view.From, _ = strconv.Atoi(q.Get("from"))
		if view.Find = q.Get("find"); view.Find != "" {
			if err := view.Search(v.r.Context()); err != nil {
				return err
			}
		}
		if err := view.Read(); err != nil {
			return err
		}
		return v.show(page.Sample(v.frame(view.Title(), "docket"), view))
	})
	s.page("GET /cases/{case}/runs/{run}/samples/{sample}/steps/{step}", func(v visit) error {
		view, done, err := v.sample()
		if err != nil {
			return err
		}
		defer done()
		none := proofhouse.Errorf(proofhouse.NotFound, nil, "the transcript has no such step")
		step, err := strconv.Atoi(v.r.PathValue("step"))
		if err != nil || view.Talk == nil {
			return none
		}
		b, err := view.Talk.Raw(step)
		if err != nil {
			return err
		}
		return v.file("step-"+strconv.Itoa(step)+".json", b)
	})
}

// sample is the sample that a page is of. What it holds open is closed by close.
func (v visit) sample() (view page.SampleView, closes func(), err error) {
	r, run, err := v.run()
	if err != nil {
		return view, nil, err
	}
	none := proofhouse.Errorf(proofhouse.NotFound, nil, "the run has no such sample")
	n, err := strconv.Atoi(v.r.PathValue("sample"))
	if err != nil || r.Live == nil {
		return view, nil, none
	}
	if run.State, err = r.Live.State(); err != nil {
		return view, nil, err
	}
	if n < 1 || n > len(run.State.Result.Samples) {
		return view, nil, none
	}
	view = page.SampleView{RunView: run, Number: n, Sample: run.State.Result.Samples[n-1], Live: r.Live, Artifact: r.Artifact}
	if d := view.Sample.Transcript; d != "" {
		talk, err := r.Conversation(d)
		switch {
		case err == nil:
			view.Talk = talk
		case proofhouse.KindOf(err) == proofhouse.NotFound: // it is not published
		default:
			return view, nil, err
		}
	}
	return view, func() {
		if view.Talk != nil {
			_ = view.Talk.Close() // it was only read
		}
	}, nil
}
