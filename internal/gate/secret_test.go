package gate

import (
	"bytes"
	"net/url"
	"strings"
	"testing"
)

func testSecrets(t testing.TB) *secrets {
	base, err := url.Parse("http://titan.example:8080")
	if err != nil {
		t.Fatal(err)
	}
	return newSecrets("Labs/Titan-9", "violet", Upstream{Base: base, Secrets: []string{"Bdrk", "", "bdrk-eu"}})
}

func TestMask(t *testing.T) {
	s := testSecrets(t)
	for in, want := range map[string]string{
		"":                             "",
		"titan":                        "titan",
		"labs/titan-9":                 "violet",
		`LABS\/TITAN-9 and titan-9`:    "violet and violet",
		"http://Titan.Example:8080/v1": "http://violet:8080/v1",
		"titan-titan-9titan-9bdr":      "titan-violetvioletbdr",
		"msg_bdrk_01":                  "msg_violet_01",
		"bdrk-eu bdrk-e":               "violet violet-e",
		"tıtan-9, \u212a and other writing: tita": "tıtan-9, \u212a and other writing: tita",
	} {
		if got := string(s.mask([]byte(in))); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
	local := newSecrets("m", "c", Upstream{Base: &url.URL{Host: "127.0.0.1:80"}})
	if got := string(local.mask([]byte("127.0.0.1 localhost"))); got != "127.0.0.1 localhost" {
		t.Error(got)
	}
}

// TestMaskAnswer has the names in every part of an answer: the protocol's own words change, what the model wrote or the caller sent does not.
func TestMaskAnswer(t *testing.T) {
	s := testSecrets(t)
	for in, want := range map[string]string{
		`{"id":"msg_bdrk_1","system_fingerprint":"Titan-9_x", "provider":"bdrk","x":1.0}`:                                                                    `{"id":"msg_violet_1","system_fingerprint":"violet_x", "provider":"violet","x":1.0}`,
		`{"choices":[{"delta":{"content":"I am titan-9","tool_calls":[{"id":"bdrk-1","function":{"arguments":"{\"id\":\"titan-9\"}"}}]}}]}`:                  `{"choices":[{"delta":{"content":"I am titan-9","tool_calls":[{"id":"violet-1","function":{"arguments":"{\"id\":\"titan-9\"}"}}]}}]}`,
		`{"content":[{"type":"tool_use","id":"bdrk","input":{"id":"titan-9","provider":"bdrk"}}],"metadata":{"user_id":"titan-9"},"instructions":"titan-9"}`: `{"content":[{"type":"tool_use","id":"violet","input":{"id":"titan-9","provider":"bdrk"}}],"metadata":{"user_id":"titan-9"},"instructions":"titan-9"}`,
		`{"error":{"message":"Labs\/Titan-9 at titan.example","details":["titan-9"]},"text":"titan-9"}`:                                                      `{"error":{"message":"violet at violet","details":["violet"]},"text":"titan-9"}`,
		`{"response":{"error":{"message":"titan-9"},"output":[{"content":[{"text":"titan-9"}]}]}}`:                                                           `{"response":{"error":{"message":"violet"},"output":[{"content":[{"text":"titan-9"}]}]}}`,
		`{"type":"error","message":"titan-9"}`:   `{"type":"error","message":"violet"}`,
		`{"object":"error","message":"titan-9"}`: `{"object":"error","message":"violet"}`,
		`{"id":"","delta":"titan-9"}`:            `{"id":"","delta":"titan-9"}`,
		`<title>titan.example</title>`:           `<title>violet</title>`,
	} {
		if got := string(s.maskAnswer([]byte(in))); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if !strings.HasPrefix(in, "{") {
			continue
		}
		in, want = ": via bdrk\r\nevent: e-bdrk\ndata: "+strings.Replace(in, ",", ",\ndata:", 1)+"\n\n", ": via violet\r\nevent: e-violet\ndata: "+strings.Replace(want, ",", ",\ndata:", 1)+"\n\n"
		if got := string(s.maskEvent([]byte(in))); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if got := string(s.maskEvent([]byte("data: from titan.example\n\n"))); got != "data: from violet\n\n" {
		t.Error(got)
	}
	plain := []byte("data: {\"choices\":[]}\n\n")
	if n := testing.AllocsPerRun(10, func() { s.maskEvent(plain) }); n != 0 {
		t.Errorf("an event without a name costs %v allocations", n)
	}
}

// FuzzSightings cuts a text anywhere, puts pieces of another thread in between, and wants the count of the whole.
func FuzzSightings(f *testing.F) {
	f.Add("I am TITAN-9 of bdrk, that is labs/titan-9 at titan.example.", uint64(0x5555555555555555))
	f.Add("titan-9titan-9ti", uint64(0b100010001))
	f.Add("labs/titan-labs/titan-9 tititan-9", ^uint64(0))
	f.Fuzz(func(t *testing.T, text string, cuts uint64) {
		s := testSecrets(t)
		var pieces []Piece
		last := 0
		for i := 1; i < len(text); i++ {
			if cuts>>(i%64)&1 == 1 {
				pieces = append(pieces, Piece{Thread{Of: 1}, []byte(text[last:i])}, Piece{Thread{Of: 2}, []byte("titan-")})
				last = i
			}
		}
		pieces = append(pieces, Piece{Thread{Of: 1}, []byte(text[last:])})
		g := sightings{secrets: s}
		for _, p := range pieces {
			g.look([]Piece{p})
		}
		want := map[SecretKind]int64{}
		for rest := []byte(text); ; {
			at, n, kind := s.find(rest)
			if at < 0 {
				break
			}
			want[kind]++
			rest = rest[at+n:]
		}
		// A name within a longer one may be seen before the longer one is whole, so never fewer, and none out of nothing.
		for _, k := range []SecretKind{ModelName, HostName, SecretWord} {
			if g.counts[k] < want[k] || want[k] == 0 && g.counts[k] > 0 && !strings.Contains(strings.ToLower(text), "titan-9") {
				t.Fatalf("%s: %d of %d in %q", k, g.counts[k], want[k], text)
			}
		}
	})
}

func TestSightingsAreBounded(t *testing.T) {
	g := sightings{secrets: testSecrets(t)}
	for i := range int64(10 * maxTails) {
		g.look([]Piece{{Thread{Of: i}, append([]byte("9"), bytes.Repeat([]byte("x"), 1000)...)}, {Thread{Of: i}, []byte("titan-")}, {Thread{Of: i}, []byte("9titan-")}})
	}
	if len(g.tails) > maxTails || g.counts[ModelName] != 10*maxTails {
		t.Errorf("%d tails, %v", len(g.tails), g.counts)
	}
	for _, tail := range g.tails {
		if len(tail.text) >= g.secrets.longest {
			t.Errorf("%d bytes are kept", len(tail.text))
		}
	}
}
