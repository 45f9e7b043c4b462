package arc

import (
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/policy/internal/dkimsig"
	"github.com/bridgehead-mail/bridgehead/policy/internal/taglist"
)

// otherwise has the cases in which the suite differs from the RFCs. The suite is
// older than RFC 8617.
var otherwise = map[string]struct{ suite, rfc, why string }{
	"cv_fail_i1_as_cv_fail": {"", "fail", "RFC 8617, 5.2: a chain that is sealed as failed has failed"},
	"cv_fail_i2_as1_fail":   {"", "fail", "RFC 8617, 5.2, step 3"},
	"cv_fail_i2_as2_fail":   {"", "fail", "RFC 8617, 5.2, step 2"},
	"ams_fields_h_empty":    {"pass", "fail", "RFC 6376, 5.4: From must be signed"},
	"ams_fields_a_sha1":     {"pass", "fail", "RFC 8301, 3.1: no rsa-sha1"},
	"as_fields_a_sha1":      {"pass", "fail", "RFC 8301, 3.1: no rsa-sha1"},
}

// All validation cases of the ValiMail suite have the suite's result, except those
// in otherwise.
func TestSuiteValidation(t *testing.T) {
	n := 0
	for _, section := range loadSuite(t).Validation {
		v := &Verifier{Resolver: section.Records}
		for _, c := range section.Cases {
			n++
			want := c.Want
			if o, found := otherwise[c.Name]; found {
				if want != o.suite {
					t.Errorf("%s: the suite wants %q", c.Name, want)
				}
				want = o.rfc
			}
			if got := verify(t, v, crlf(c.Message)); string(got.Result) != want {
				t.Errorf("%s, %s: %s (%v), want %s", section.Description, c.Name, got.Result, got.Err, want)
			}
		}
	}
	if n != 174 {
		t.Errorf("%d cases", n)
	}
}

// All signing cases are sealed, or not sealed, as the suite expects, with the
// expected instance, chain state and body hash. The new chain verifies. The suite
// reads the previous state of the chain from Authentication-Results: the seals in
// i1_base and i2_base are invalid for this package, dkimpy and Mail::DKIM.
func TestSuiteSigning(t *testing.T) {
	n := 0
	for _, section := range loadSuite(t).Signing {
		key := keys()[1]
		record, err := key.Record()
		if err != nil {
			t.Fatal(err)
		}
		section.Records[key.Name()] = record
		v := &Verifier{Resolver: section.Records}
		for _, c := range section.Cases {
			n++
			message := crlf(c.Message)
			before := verify(t, v, message)
			stale := c.Name == "i1_base" || c.Name == "i2_base"
			if stale && before.Result == Fail {
				before.Result = Pass
			}
			set, err := (&Sealer{Key: key, ID: c.ID, Fields: strings.Split(c.Fields, ":")}).Seal(t.Context(), strings.NewReader(message), before, finding)
			if err != nil {
				t.Fatalf("%s: %v", c.Name, err)
			}
			if (set == "") != (c.Seal == "") {
				t.Errorf("%s: sealed %q, want %q", c.Name, set, c.Seal)
			}
			if set == "" {
				continue
			}
			ours := tagsOf(t, set, "ARC-Seal:")
			theirs := parseTags(t, c.Seal)
			for _, name := range []string{"i", "cv"} {
				if ours.Value(name) != theirs.Value(name) {
					t.Errorf("%s: %s=%s, want %s", c.Name, name, ours.Value(name), theirs.Value(name))
				}
			}
			if ours, theirs := tagsOf(t, set, "ARC-Message-Signature:"), parseTags(t, c.Signature); ours.Value("bh") != theirs.Value("bh") {
				t.Errorf("%s: bh=%s, want %s", c.Name, ours.Value("bh"), theirs.Value("bh"))
			}
			want := Pass
			if ours.Value("cv") == "fail" || stale {
				want = Fail
			}
			if after := verify(t, v, set+message); after.Result != want {
				t.Errorf("%s: sealed as %s (%v), want %s", c.Name, after.Result, after.Err, want)
			}
		}
	}
	if n != 17 {
		t.Errorf("%d cases", n)
	}
}

// tagsOf returns the tags of the first field with that name.
func tagsOf(t *testing.T, fields, name string) taglist.List {
	t.Helper()
	_, rest, found := strings.Cut(fields, name)
	if !found {
		t.Fatalf("no %s in %q", name, fields)
	}
	end := len(rest)
	if i := strings.Index(rest, "\r\nARC-"); i >= 0 {
		end = i
	}
	return parseTags(t, rest[:end])
}

func parseTags(t *testing.T, text string) taglist.List {
	t.Helper()
	list, err := taglist.Parse(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return list
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

type suite struct {
	Validation []struct {
		Description string
		Records     suiteRecords
		Cases       []struct{ Name, Message, Want string }
	}
	Signing []struct {
		Description string
		Records     suiteRecords
		Cases       []struct{ Name, Message, ID, Fields, Seal, Signature string }
	}
}

// suiteRecords returns the TXT records of a section.
type suiteRecords map[string]string

func (r suiteRecords) Lookup(_ context.Context, name string, t resolver.Type) (*resolver.Answer, error) {
	if text := r[name]; text != "" && t == resolver.TypeTXT {
		return &resolver.Answer{TXT: []string{strings.ReplaceAll(text, "\n", "")}}, nil
	}
	return nil, &resolver.Error{Problem: resolver.NoSuchName, Name: name, Type: t}
}

func loadSuite(t *testing.T) (s suite) {
	t.Helper()
	f, err := os.Open("testdata/arc_test_suite/cases.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(z).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

// An empty tag makes a seal or a message signature invalid, even if it was signed
// (RFC 6376, 3.2).
func TestEmptyTags(t *testing.T) {
	v, _ := newVerifier(t)
	message := pass(t, v, 0, plain, nil)
	sealer := &Sealer{Key: keys()[1], ID: "mx.forward.example"}
	for name, change := range map[string]func(string) string{
		"none":      func(seal string) string { return seal },
		"middle":    func(seal string) string { return strings.Replace(seal, "; cv=", ";; cv=", 1) },
		"blank":     func(seal string) string { return strings.Replace(seal, "; cv=", "; \r\n\t; cv=", 1) },
		"beginning": func(seal string) string { return strings.Replace(seal, ": i=", ": ; i=", 1) },
	} {
		sets, _, err := readChain(headerOf(t, message))
		if err != nil {
			t.Fatal(err)
		}
		own := sets[0]
		field := change(strings.Replace(string(own.seal.field), "s=s1", "s=s2", 1))
		field = strings.Replace(strings.Replace(field, "d=list.example", "d=forward.example", 1), "a=rsa-sha256", "a=ed25519-sha256", 1)
		field = field[:strings.LastIndex(field, "b=")+2] + "\r\n"
		sig, err := dkimsig.Sign(sealer.Key.Private, sealSum([]set{own}, []byte(field)))
		if err != nil {
			t.Fatal(err)
		}
		signed := strings.TrimSuffix(field, "\r\n") + base64.StdEncoding.EncodeToString(sig) + "\r\n"
		got := verify(t, v, strings.Replace(message, string(own.seal.field), signed, 1))
		if want := map[bool]Result{true: Pass, false: Fail}[name == "none"]; got.Result != want {
			t.Errorf("%s: %s (%v), want %s: %q", name, got.Result, got.Err, want, signed)
		}
	}
}

func headerOf(t *testing.T, message string) *dkimsig.Header {
	t.Helper()
	header, _, err := read(strings.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	return header
}
