package header_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/header"
)

func TestParseParams(t *testing.T) {
	type ps = []header.Param
	for value, want := range map[string]header.Params{
		"":                               {},
		"text/plain":                     {Value: "text/plain"},
		"Text/PLAIN; Charset=UTF-8":      {Value: "text/plain", List: ps{{"charset", "UTF-8", "", ""}}},
		`a/b; x="y z"; n=`:               {Value: "a/b", List: ps{{"x", "y z", "", ""}, {"n", "", "", ""}}},
		`a/b;x="a\"b;c"`:                 {Value: "a/b", List: ps{{"x", `a"b;c`, "", `a\"b;c`}, {"x", `a\`, `a\b`, ""}}},
		"a/b; ; x = y ;":                 {Value: "a/b", List: ps{{"x", "y", "", ""}}},
		"a/b; filename=my file.txt":      {Value: "a/b", List: ps{{"filename", "my file.txt", "my", ""}}},
		`a/b; filename="a.txt".exe; x=y`: {Value: "a/b", List: ps{{"filename", "a.txt", "a.txt.exe", ""}, {"x", "y", "", ""}}},
		`a/b; filename="a.txt`:           {Value: "a/b", List: ps{{"filename", "a.txt", "", ""}}},
		`a/b; filename="a\"`:             {Value: "a/b", List: ps{{"filename", `a"`, "", `a\"`}, {"filename", `a\`, "", ""}}},
		"a/b (c); x=y(z)":                {Value: "a/b", List: ps{{"x", "y", "", ""}, {"x", "y(z)", "y", ""}}},
		"(c)a/b(c(d)\\));x=\"(no)\"":     {Value: "a/b", List: ps{{"x", "(no)", "", ""}, {"x", "(no)", "", ""}}},
		"a/b; x=(open":                   {Value: "a/b", List: ps{{"x", "(open", "", ""}}},
		"a/b; x*0=a; x*1*=b":             {Value: "a/b", List: ps{{"x*0", "a", "", ""}, {"x*1*", "b", "", ""}}},
		"attachment; file name=x":        {Value: "attachment", List: ps{{"filename", "x", "", ""}, {"name", "x", "", ""}}},
		// backslashes in file names of Windows
		`a/b; filename="C:\x\a.js"`:  {Value: "a/b", List: ps{{"filename", "C:xa.js", "", `C:\x\a.js`}}},
		`a/b; filename="C:\x\"; y=z`: {Value: "a/b", List: ps{{"filename", `C:x"; y=z`, "", `C:\x\"; y=z`}, {"filename", `C:\x\`, "", ""}, {"y", "z", "", ""}}},
		// missing semicolons
		`attachment filename="a.exe"`:     {Value: `attachment filename="a.exe"`, List: ps{{"filename", "a.exe", "", ""}}},
		`filename="a.exe"`:                {Value: `filename="a.exe"`, List: ps{{"filename", "a.exe", "", ""}}},
		"a/b; x=y filename=a.exe; n=m":    {Value: "a/b", List: ps{{"x", "y filename=a.exe", "y", ""}, {"filename", "a.exe", "", ""}, {"n", "m", "", ""}}},
		`a/b; x="y" filename="a.exe";n=m`: {Value: "a/b", List: ps{{"x", "y", "y" + "filename=a.exe", ""}, {"filename", "a.exe", "", ""}, {"n", "m", "", ""}}},
	} {
		if got := header.ParseParams(value); !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\n got %q,\nwant %q", value, fmt.Sprint(got), fmt.Sprint(want))
		}
	}
	many := header.ParseParams("a/b" + strings.Repeat("; x=y", header.MaxParams+1))
	if !many.Cut || len(many.List) != header.MaxParams {
		t.Errorf("%d parameters, cut: %v", len(many.List), many.Cut)
	}
}

func TestMediaType(t *testing.T) {
	for value, valid := range map[string]bool{
		"text/plain": true, "Text/Plain; x=y": true, "image/svg+xml": true,
		"": false, "text": false, "text/": false, "/plain": false, "text/plain/x": false, "text /plain": false, "te\"xt/plain": false,
	} {
		p := header.ParseParams(value)
		if typ, ok := p.MediaType(); ok != valid || ok != (typ != "") {
			t.Errorf("%q: %q, %v", value, typ, ok)
		}
	}
}

func TestExtended(t *testing.T) {
	type evs = []header.ExtendedValue
	for params, want := range map[string]evs{
		"n=a":                               {}, // the plain form
		"n*=utf-8''a%20b":                   {{"utf-8", "a b"}},
		"n*=US-ASCII'en-us'This%20is%20***": {{"US-ASCII", "This is ***"}}, // RFC 2231, 4
		"n*0=a; n*1=b":                      {{"", "ab"}},
		"n*1=b; n*0=a":                      {{"", "ab"}},
		"n*0*=x'y'%61; n*1=%62; n*2*=%63":   {{"x", "a%62c"}, {"x", "abc"}},
		"n*0=a; n*2=c":                      {{"", "a"}, {"", "ac"}},
		"n*0=a; n*0=b":                      {{"", "a"}, {"", "b"}},
		"n*0*=''%; n*1*=41":                 {{"", "%41"}, {"", "A"}},
		"n*1=a":                             {{"", ""}, {"", "a"}},
		"n*x=a; n*-1=b; n*100=c; n*+0*0=d":  {},
		"n*=%zz%4":                          {{"", "%zz%4"}},
	} {
		p := header.ParseParams("a/b; " + params)
		if got := p.Extended("n"); len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, want %q", params, got, want)
		}
	}
}

func FuzzParseParams(f *testing.F) {
	for _, s := range []string{`a/b; x="y\"z" junk; n*0*=u'l'%41; n*1=b (c(d)); =; n*`, `(open a/b; "; x=(y`, "a/b;\r\n x=y z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		p := header.ParseParams(value)
		if len(p.List) > header.MaxParams || strings.Contains(p.Value, ";") {
			t.Fatalf("%q: %v", value, p)
		}
		for _, q := range p.List {
			if q.Name != strings.ToLower(q.Name) || strings.ContainsAny(q.Name, "=; \t") {
				t.Fatalf("%q: the parameter %q", value, q)
			}
			p.Extended(strings.TrimRight(q.Name, "*0123456789"))
		}
		p.MediaType()
	})
}
