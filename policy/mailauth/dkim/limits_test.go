package dkim

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// Messages that are made to cost time are verified like others. An invalid
// signature causes no DNS query.
func TestUnusualMessages(t *testing.T) {
	key := Key{Domain: "example.org", Selector: "s1", Private: edKey()}
	const from = "From: a@example.org\r\n"
	folded := from + "A: b" + strings.Repeat("\r\n x", 5_000) + "\r\n"
	lines := strings.Repeat("\r\n", 100_000)
	for _, c := range []struct {
		name, tags, header, body string
		want                     Result
		queries                  int
	}{
		{"1000 names", "c=relaxed; h=from" + strings.Repeat(":a", 999), from + strings.Repeat("A: b\r\n", 2000), "x", Pass, 1},
		{"much folding, relaxed", "c=relaxed; h=from:a", folded, "x", Pass, 1},
		{"much folding, simple", "c=simple; h=from:a", folded, "x", Pass, 1},
		{"much folding of what is not signed", "c=simple; h=from", folded, "x", Pass, 1},
		{"folding in the signature", "c=simple; h=from;" + strings.Repeat("\r\n\t", 5_000) + "t=1", from, "x", Pass, 1},
		{"empty lines", "c=simple; h=from", from, lines, Pass, 1},
		{"empty lines, relaxed", "c=relaxed/relaxed; h=from", from, lines, Pass, 1},
		{"empty lines and a letter", "c=simple; h=from", from, lines + "x", Pass, 1},
		{"lines of white space", "c=relaxed/relaxed; h=from", from, "x" + strings.Repeat(" \r\n", 50_000), Pass, 1},
		{"many tags", "c=relaxed; h=from" + strings.Repeat(";a=b", 50_000), from, "x", Neutral, 0},
		{"many empty tags", "c=relaxed; h=from" + strings.Repeat(";", 50_000) + "a=b", from, "x", Neutral, 0},
	} {
		for _, n := range []int{1, 3} {
			plain, _, _ := strings.Cut(strings.ReplaceAll(c.tags, ";a=b", ""), ";;")
			signed := handmade(t, key, plain, c.header+"\r\n"+c.body)
			field, _, _ := strings.Cut(signed, from)
			field = strings.Replace(field, plain, c.tags, 1)
			v, dns := newVerifier(t, zoneOf(t, nil, key))
			verdict, err := v.Verify(t.Context(), strings.NewReader(strings.Repeat(field, n)+c.header+"\r\n"+c.body))
			if err != nil || len(verdict.Signatures) != n {
				t.Fatalf("%s: %+v, %v", c.name, verdict, err)
			}
			for _, s := range verdict.Signatures {
				if s.Result != c.want {
					t.Errorf("%s, %d signatures: %s (%v), want %s", c.name, n, s.Result, s.Err, c.want)
				}
			}
			if q := dns.Count(key.Name(), "TXT"); q > n*c.queries {
				t.Errorf("%s, %d signatures: %d DNS queries", c.name, n, q)
			}
		}
	}
	v, _ := newVerifier(t, zoneOf(t, nil, key))
	for name, message := range map[string]string{
		"an endless header": strings.Repeat("A: b\r\n", 200_000), "an endless line": "A: " + strings.Repeat("b", 2<<20),
	} {
		if _, err := v.Verify(t.Context(), strings.NewReader(message)); err == nil || !strings.Contains(err.Error(), "longer than 1 MiB") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Verifying and signing take linear time: a message of eight times the size takes
// about eight times as long.
func TestTimeIsLinear(t *testing.T) {
	key := Key{Domain: "example.org", Selector: "s1", Private: edKey()}
	record, err := key.Record()
	if err != nil {
		t.Fatal(err)
	}
	v := &Verifier{Resolver: fixedKey(record)}
	const from = "From: a@example.org\r\n"
	const n = 5_000
	for name, message := range map[string]func(n int) (tags, message string){
		"names": func(n int) (string, string) {
			return "c=relaxed; h=from" + strings.Repeat(":a", n), from + strings.Repeat("A: b\r\n", n) + "\r\nx"
		},
		"folding": func(n int) (string, string) {
			return "c=simple; h=from:a", from + "A: b" + strings.Repeat("\r\n x", n) + "\r\n\r\nx"
		},
		"identity": func(n int) (string, string) {
			return "c=simple; h=from; i=" + strings.Repeat("=40", n) + "example.org", from + "\r\nx"
		},
		"empty lines": func(n int) (string, string) {
			return "c=simple; h=from", from + "\r\n" + strings.Repeat("\r\n", 10*n) + "x"
		},
		"bare line ends": func(n int) (string, string) {
			return "c=relaxed/relaxed; h=from", from + "\r\n" + strings.Repeat("\r\n x", 10*n) + "x"
		},
	} {
		measure := func(n int) time.Duration {
			tags, m := message(n)
			signed := handmade(t, key, tags, m)
			if name == "bare line ends" {
				signed = strings.ReplaceAll(signed, "\r\n", "\n")
			}
			signer := &Signer{Keys: Keys(key), Fields: []string{"Subject"}}
			best := time.Hour
			for range 3 {
				began := time.Now()
				verdict, err := v.Verify(t.Context(), strings.NewReader(signed))
				if err != nil || verdict.Result() != Pass {
					t.Fatalf("%s: %+v, %v", name, verdict, err)
				}
				if _, err := signer.Sign(t.Context(), "example.org", strings.NewReader(m)); err != nil {
					t.Fatal(err)
				}
				best = min(best, time.Since(began))
			}
			return best
		}
		// Quadratic work would take 64 times as long.
		linear := false
		for try := 0; try < 4 && !linear; try++ { // the machine may be busy
			linear = measure(8*n) < 30*max(measure(n), time.Millisecond)
		}
		if !linear {
			t.Errorf("%s: %v, of eight times the size %v", name, measure(n), measure(8*n))
		}
	}
}

// The body is read once for any number of signatures.
func TestBodyIsReadOnce(t *testing.T) {
	key := Key{Domain: "example.org", Selector: "s1", Private: edKey()}
	v, _ := newVerifier(t, zoneOf(t, nil, key))
	signed := plainMessage
	for _, form := range []string{"simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"} {
		signed = handmade(t, key, "c="+form+"; h=from", signed)
	}
	r := &once{r: strings.NewReader(signed)}
	verdict, err := v.Verify(t.Context(), r)
	if err != nil || len(verdict.Signatures) != 4 || r.n != len(signed) {
		t.Fatalf("%+v, %v, %d octets of %d", verdict, err, r.n, len(signed))
	}
	for _, s := range verdict.Signatures {
		if s.Result != Pass {
			t.Errorf("%s: %v", s.Result, s.Err)
		}
	}
}

// once counts the bytes that are read.
type once struct {
	r io.Reader
	n int
}

func (o *once) Read(p []byte) (int, error) {
	n, err := o.r.Read(p)
	o.n += n
	return n, err
}

// A message that exceeds the limit of signing is refused permanently.
func TestSigningLimit(t *testing.T) {
	key := Key{Domain: "example.org", Selector: "s1", Private: edKey()}
	signer := &Signer{Keys: Keys(slices.Repeat([]Key{key}, 2)...)}
	var limit limitError
	fields, err := signer.Sign(t.Context(), "example.org", strings.NewReader(strings.Repeat("Reply-To: a@example.org\r\n", maxSigned)+plainMessage))
	if fields != "" || !errors.As(err, &limit) {
		t.Errorf("%q, %v", fields, err)
	}
	v, _ := newVerifier(t, zoneOf(t, nil, key))
	for name, message := range map[string]string{
		"white space":  plainMessage + strings.Repeat("\r\n", 100_000) + "x",
		"many fields":  strings.Repeat("Reply-To: a@example.org\r\n", maxSigned/2) + plainMessage,
		"much folding": "Subject: x" + strings.Repeat("\r\n\ty", 5_000) + "\r\n" + plainMessage,
	} {
		for _, simple := range []bool{false, true} {
			signed := sign(t, &Signer{Keys: signer.Keys, Simple: simple}, message)
			verdict, err := v.Verify(t.Context(), strings.NewReader(signed))
			if err != nil || verdict.Result() != Pass || len(verdict.Signatures) != 2 {
				t.Errorf("%s: %+v, %v", name, verdict, err)
			}
		}
	}
}

// Sign and Verify treat a bare LF and CR as package smtpclient does.
func TestLineEnds(t *testing.T) {
	key := Key{Domain: "example.org", Selector: "s1", Private: edKey()}
	v, _ := newVerifier(t, zoneOf(t, nil, key))
	for _, simple := range []bool{false, true} {
		s := &Signer{Keys: Keys(key), Simple: simple}
		message := plainMessage
		lf, cr := strings.ReplaceAll(message, "\r\n", "\n"), strings.Replace(message, "Hello Bob", "Hello\rBob", 1)
		both := strings.ReplaceAll(cr, "\r\n", "\n")
		field := strings.TrimSuffix(sign(t, s, both), both)
		for name, m := range map[string]string{"CRLF": message, "LF": lf, "bare CR": cr} {
			if verdict, err := v.Verify(t.Context(), strings.NewReader(field+m)); err != nil || verdict.Result() != Pass {
				t.Errorf("simple %v, %s: %+v, %v", simple, name, verdict, err)
			}
		}
	}
}
