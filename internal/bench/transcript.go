package bench

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"proofhouse/internal/proofhouse"
)

// Transcript is the conversation of a sample, as it lies among the artifacts
// of a run without survivors.
type Transcript struct {
	Version int    `json:"version"` // 1
	Steps   []Step `json:"steps"`
}

// ReadTranscript parses what an artifact holds.
func ReadTranscript(b []byte) (Transcript, error) {
	var t Transcript
	if err := json.Unmarshal(b, &t); err != nil || t.Version != 1 {
		return t, proofhouse.Errorf(proofhouse.Invalid, err, "this is not a transcript that this program reads")
	}
	return t, nil
}

// transcripts is the private folder of the run's conversations: a journal of
// steps, and the transcripts of the samples that ended, by digest.
func (e *engine) transcripts() string {
	return filepath.Join(e.Private, "transcript", string(e.opening.Run))
}

// openTalks opens the journal of steps and gives those that each sample has.
func (e *engine) openTalks() (map[sampleKey][]Step, error) {
	if err := os.MkdirAll(e.transcripts(), 0o700); err != nil {
		return nil, diskError(err)
	}
	all := map[sampleKey][]Step{}
	j, _, err := openJournal(filepath.Join(e.transcripts(), "steps"), JournalRef{}, func(r Record) error {
		if r.Impression != nil {
			e.first = r.Impression
			return nil
		}
		if r.Sample == nil || r.Step == nil {
			return proofhouse.Errorf(proofhouse.Integrity, nil, "the private journal makes no sense: record %d is not a step", r.Seq)
		}
		key := sampleKey{r.Sample.Task, r.Sample.Epoch}
		if r.From > len(all[key]) || r.From < 0 {
			return proofhouse.Errorf(proofhouse.Integrity, nil, "the private journal makes no sense: record %d is out of turn", r.Seq)
		}
		all[key] = append(all[key][:r.From:r.From], *r.Step)
		return nil
	})
	if err != nil {
		return nil, err
	}
	e.talks = j
	return all, nil
}

// keepTranscript puts the conversation of a sample that ended into the private
// folder and gives its digest, or "" if there was none.
func (e *engine) keepTranscript(steps []Step) (proofhouse.Digest, error) {
	if len(steps) == 0 {
		return "", nil
	}
	b, err := json.Marshal(Transcript{1, steps})
	if err != nil {
		return "", err
	}
	d := proofhouse.DigestOf(b)
	return d, writeWhole(filepath.Join(e.transcripts(), d.Hex()), b, 0o600)
}

// publish puts the transcripts among the artifacts if no input of the run
// survived the fix, and takes them out again if one did. To withhold those of
// single samples would say which.
func (e *engine) publish(r Result) error {
	if e.talks == nil {
		return nil
	}
	for _, s := range r.Samples {
		if s.Transcript == "" {
			continue
		}
		public := filepath.Join(e.Folder, artifactsName, s.Transcript.Hex())
		if r.Summary.Survivors > 0 {
			if err := os.Remove(public); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return diskError(err)
			}
			continue
		}
		b, err := os.ReadFile(filepath.Join(e.transcripts(), s.Transcript.Hex()))
		if errors.Is(err, fs.ErrNotExist) { // published before
			continue
		}
		if err == nil {
			err = e.keep(b)
		}
		if err != nil {
			return diskError(err)
		}
	}
	if r.Status == "success" && r.Summary.Survivors == 0 && r.Summary.Scored == r.Summary.Samples {
		return diskError(os.RemoveAll(e.transcripts())) // nobody needs them any more
	}
	return nil
}
