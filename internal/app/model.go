package app

import (
	"context"
	"errors"
	"net/url"
	"os"
	"strings"
	"time"

	"proofhouse/internal/bench"
	"proofhouse/internal/chat"
	"proofhouse/internal/gate"
	"proofhouse/internal/gate/anthropic"
	"proofhouse/internal/gate/openai"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/vault"
)

// ModelRequest is the model that a run's agent asks, and what it may use.
type ModelRequest struct {
	Name     string // at the upstream
	Codename string // that the record names it by; "" is made from the output folder
	Upstream string // URL of its server; "" is what the SDKs' variables say
	KeyFile  string // with the upstream's key; "" is Credential, or what the SDKs' variables say
	// Credential is the name of a sealed key, see `gate credential`.
	Credential string
	Protocol   string // "openai-chat" unless said
	CapField   string // see openai.Chat
	Context    int64  // tokens; 0 is unknown
	Generate   chat.Config
	Rates      chat.Prices
	Told       bool         // the model learns whether a submission solved the task
	Sample     bench.Budget // of each sample
	Run        bench.Budget // of all together
	// For says for whom the model is asked; the zero value is nobody but this house.
	For Lent
	// Unprobed leaves open whether it is the same model all the time.
	Unprobed bool
}

// Lent is by which grant of a case a model is asked.
type Lent struct {
	Case    proofhouse.CaseID
	Run     proofhouse.RunID
	Subject string    // see docket.Subject
	Until   time.Time // when access ends
}

// runModel is a model on its way into a run: the gate that every token of it
// passes, and what the record says of it.
type runModel struct {
	*gate.Client
	config   bench.ModelConfig
	outlet   bench.Outlet
	identity bench.Identity // nil if the request leaves that open
	expose   func(ctx context.Context, task bench.TaskFacts) error
	close    func(ctx context.Context) error
}

// openModel opens a gate for one run, with a grant of the run's budget. Its
// record is kept by the output folder's name, so that a run that is taken up
// again (resume) goes on with what is left.
func (a *App) openModel(ctx context.Context, req ModelRequest, out string, resume bool) (_ *runModel, err error) {
	req, key, err := a.modelFromEnvironment(req)
	if err != nil {
		return nil, err
	}
	base, err := upstreamURL(req.Upstream)
	if err != nil {
		return nil, err
	}
	translator, err := translatorOf(req)
	if err != nil {
		return nil, err
	}
	folder, name, err := a.runGateFolder(out)
	if err != nil {
		return nil, err
	}
	if req.Codename == "" {
		req.Codename = "model-" + name[:6]
	}
	log, past, err := a.openGateLogAt(ctx, folder)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			log.Close()
		}
	}()
	g, err := gate.Open(gate.Config{
		Protocols: []gate.Protocol{translator}, Log: log, Boot: bootID(),
		Upstreams: []gate.Upstream{{Name: base.String(), Base: base, Key: key}},
	}, past)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if req.For.Until.IsZero() {
		req.For.Subject, req.For.Until = "run", now.Add(maxWindow)
	}
	terms := gate.Grant{
		Subject: req.For.Subject, Case: string(req.For.Case), Run: string(req.For.Run), Upstream: base.String(), Model: req.Name, Codename: req.Codename,
		Protocols: []string{translator.Name()}, Until: req.For.Until, Issuer: "proofhouse run", Reason: "a run of this house",
		Rates: req.Rates,
		// The run counts its tokens; the gate holds what must never be passed.
		Limits: gate.Limits{Requests: 10_000_000, NanoDollars: req.Run.NanoDollars, OutputCap: req.Generate.MaxTokens},
	}
	if terms.Limits.OutputCap == 0 {
		terms.Limits.OutputCap = 4096
	}
	if resume && terms.Limits.NanoDollars > 0 { // another run of the same folder's name is another budget
		for _, used := range g.Accounts() {
			terms.Limits.NanoDollars -= used.Spent.NanoDollars
		}
		if terms.Limits.NanoDollars <= 0 {
			return nil, proofhouse.Errorf(proofhouse.Limit, nil, "the run's budget is used up: --resume with more --dollars goes on")
		}
	}
	secret, grant, err := g.Lend(ctx, terms, now)
	if err != nil {
		return nil, err
	}
	local := gate.NewLocal(g)
	client := gate.NewClient(local, translator, secret, req.Codename)
	client.Pace = gate.NewPace(1000)
	m := &runModel{
		Client: client, outlet: outlet{g, secret},
		expose: func(ctx context.Context, task bench.TaskFacts) error {
			return g.Expose(ctx, grant.ID, []gate.Exposure{{Task: exposedTask(task.Task)}}, time.Now())
		},
		config: bench.ModelConfig{
			Name: req.Codename, Protocol: translator.Name(), Generate: req.Generate, Context: req.Context, Told: req.Told, Sample: req.Sample, Run: req.Run,
			Prices: req.Rates,
		},
		close: func(ctx context.Context) error {
			ctx = context.WithoutCancel(ctx)
			_, _, err := g.Revoke(ctx, func(t gate.Grant) bool { return t.ID == grant.ID }, "the run is over", time.Now())
			return errors.Join(err, local.Close(), g.Close(ctx, time.Now()), log.Close())
		},
	}
	if !req.Unprobed {
		m.identity = identity{gate.Prober{Generate: client.Generate, Reported: func() []string { return g.Reported(grant.ID) }}}
	}
	return m, nil
}

// upstreamURL is the address of a model's server, without /v1.
func upstreamURL(s string) (*url.URL, error) {
	base, err := url.Parse(strings.TrimSuffix(strings.TrimSuffix(s, "/"), "/v1"))
	if err != nil || base.Host == "" || base.User != nil {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "--upstream is the address of a model's server, such as http://127.0.0.1:8080")
	}
	return base, nil
}

func translatorOf(req ModelRequest) (gate.Translator, error) {
	for _, t := range []gate.Translator{openai.Chat{CapField: req.CapField}, openai.Responses{}, anthropic.Messages{}} {
		if t.Name() == req.Protocol {
			return t, nil
		}
	}
	return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "--protocol is openai-chat, openai-responses or anthropic-messages, not %q", req.Protocol)
}

// modelFromEnvironment fills in what the vendors' SDKs read from the
// environment, and reads the key.
func (a *App) modelFromEnvironment(req ModelRequest) (ModelRequest, vault.Secret, error) {
	if req.Protocol == "" {
		req.Protocol = "openai-chat"
	}
	vendor := "OPENAI"
	if strings.HasPrefix(req.Protocol, "anthropic") {
		vendor = "ANTHROPIC"
	}
	if req.Upstream == "" {
		req.Upstream = os.Getenv(vendor + "_BASE_URL")
	}
	switch {
	case req.Name == "":
		return req, "", proofhouse.Errorf(proofhouse.Invalid, nil, "say which model: --model NAME, as its server knows it")
	case req.Upstream == "":
		return req, "", proofhouse.Errorf(proofhouse.Invalid, nil, "say where the model is: --upstream URL, or %s_BASE_URL", vendor)
	case req.KeyFile == "" && req.Credential == "":
		return req, vault.Secret(os.Getenv(vendor + "_API_KEY")), nil
	}
	key, err := a.credential(GateRequest{KeyFile: req.KeyFile, Credential: req.Credential})
	return req, key, err
}
