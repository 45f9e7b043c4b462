package program

import (
	"errors"
	"flag"
	"strings"
	"testing"
)

// at returns texts of the file, all in one line.
func at(line int, texts ...string) (all []Value) {
	all = []Value{}
	for _, text := range texts {
		all = append(all, Value{Text: text, Line: line})
	}
	return all
}

// one returns a setting with one value.
func one(line int, name, text string) Setting {
	return Setting{Name: name, Values: at(line, text), Line: line}
}

// list returns a setting with a sequence.
func list(line int, name string, values ...Value) Setting {
	return Setting{Name: name, Values: append([]Value{}, values...), Sequence: true, Line: line}
}

// An organization has sections, and a setting whose values have fields.
type organization struct {
	spf     string
	block   Networks
	domains Records
	cost    int
	on      bool
}

func (o *organization) flags() *flag.FlagSet {
	f := flag.NewFlagSet("", flag.ContinueOnError)
	f.SetOutput(new(strings.Builder))
	o.spf, o.domains = "none", Records{Fields: []string{"name", "kind"}, Lists: []string{"recipients"}}
	f.Var(Choice(&o.spf, "none", "check"), "filters.spf", "")
	f.Var(&o.block, "filters.block", "")
	f.Var(&o.domains, "domains", "")
	f.IntVar(&o.cost, "send.cost", 0, "")
	f.BoolVar(&o.on, "filters.on", false, "")
	return f
}

// Settings in sections, and values with fields, mean the same in a file and on the
// command line.
func TestNestedSettings(t *testing.T) {
	const want = "kind=internal relay; name=example.com; recipients=alice,bob\nname=example.org"
	var file organization
	var s source
	s.apply(file.flags(), []Setting{
		{Name: "filters", Section: true, Line: 1}, one(2, "filters.spf", "check"), list(3, "filters.block", at(3, "192.0.2.0/24", "10.0.0.1")...),
		list(4, "domains", Value{Line: 5, Fields: []Setting{one(5, "name", "example.com"), list(6, "recipients", at(6, "alice", "bob")...), one(7, "kind", "internal relay")}},
			Value{Text: "example.org", Line: 8}),
		{Name: "send", Line: 9}, // a section whose settings are comments
	})
	if err := s.err(); err != nil || file.spf != "check" || len(file.block) != 2 || file.domains.String() != want {
		t.Errorf("%v, %+v, want %q", err, file, want)
	}
	var line organization
	f := line.flags()
	if err := f.Parse([]string{"-filters.spf", "check", "-filters.block", "192.0.2.0/24,10.0.0.1",
		"-domains", "example.com; kind=internal relay; recipients=alice,bob", "-domains", "name=example.org"}); err != nil {
		t.Fatal(err)
	}
	if line.spf != "check" || len(line.block) != 2 || line.domains.String() != want {
		t.Errorf("%+v, want %q", line, want)
	}
	// The command line has priority, and then no line is named.
	s = source{file: "x.yaml"}
	s.apply(f, []Setting{list(1, "domains", at(1, "example.net")...), {Name: "filters", Section: true, Line: 2}, one(3, "filters.spf", "none")})
	s.fault("domains[0].kind", errors.New("is wrong"))
	s.fault("filters.spf", errors.New("is wrong"))
	if err := s.err(); err == nil || err.Error() != "-domains[0].kind: is wrong\n-filters.spf: is wrong" || line.domains.String() != want || line.spf != "check" {
		t.Errorf("%v, %+v", err, line)
	}
}

// An explicit empty sequence is a list without elements.
func TestEmptySequence(t *testing.T) {
	var o organization
	s := source{file: "x.yaml"}
	s.apply(o.flags(), []Setting{list(1, "filters.block"), list(2, "domains", Value{Line: 2, Fields: []Setting{one(2, "name", "a.example"), list(3, "recipients")}})})
	if err := s.err(); err != nil || len(o.block) != 0 || !o.domains.All[0].Has("recipients") || o.domains.All[0].Has("kind") {
		t.Errorf("%v, %+v", err, o)
	}
}

// A fault names the setting as exactly as possible, and its line or that of the section
// or the element that it is missing in.
func TestFaultsOfNestedSettings(t *testing.T) {
	element := func(fields ...Setting) Setting {
		return list(3, "domains", Value{Line: 4, Fields: append([]Setting{}, fields...)})
	}
	for want, settings := range map[string][]Setting{
		"x.yaml:1: filter: is not a setting":                                               {{Name: "filter", Section: true, Line: 1}, one(2, "filter.spf", "check")},
		"x.yaml:2: filters.spv: is not a setting":                                          {{Name: "filters", Section: true, Line: 1}, one(2, "filters.spv", "check")},
		"x.yaml:1: filters: is not a setting":                                              {one(1, "filters", "none")},
		"x.yaml:1: filters.spf: has settings below it, and not a value":                    {{Name: "filters.spf", Section: true, Line: 1}, one(2, "filters.spf.x", "check")},
		"x.yaml:1: domains: has settings below it, and not a value":                        {{Name: "domains", Section: true, Line: 1}, one(2, "domains.name", "check")},
		"x.yaml:2: filters.spf: is set twice, also in line 1":                              {one(1, "filters.spf", "none"), one(2, "filters.spf", "none")},
		`x.yaml:1: filters.spf: "x" is not one of none, check`:                             {one(1, "filters.spf", "x")},
		`x.yaml:1: filters.on: "perhaps" is not true or false`:                             {one(1, "filters.on", "perhaps")},
		`x.yaml:1: send.cost: "ten" is not a number`:                                       {one(1, "send.cost", "ten")},
		"x.yaml:1: filters.spf: has no value":                                              {{Name: "filters.spf", Line: 1}},
		"x.yaml:1: filters.block: has no value":                                            {{Name: "filters.block", Line: 1}},
		"x.yaml:1: send.cost: has no value":                                                {list(1, "send.cost")},
		`x.yaml:2: filters.block[1]: network "y": neither`:                                 {list(1, "filters.block", Value{Text: "::1", Line: 1}, Value{Text: "y", Line: 2})},
		"x.yaml:2: filters.block[0]: has fields, and not a value":                          {list(1, "filters.block", Value{Fields: []Setting{}, Line: 2})},
		"x.yaml:5: domains[0].knd: is not a field; the fields are name, kind, recipients":  {element(one(4, "name", "a"), one(5, "knd", "x"))},
		"x.yaml:5: domains[0].kind: has more than one value":                               {element(list(5, "kind", at(5, "a", "b")...))},
		"x.yaml:5: domains[0].kind: has no value":                                          {element(Setting{Name: "kind", Line: 5})},
		"x.yaml:6: domains[0].kind: is set twice":                                          {element(one(5, "kind", "a"), one(6, "kind", "a"))},
		"x.yaml:5: domains[0].recipients: has fields, and not a value":                     {element(list(5, "recipients", Value{Fields: []Setting{}, Line: 5}))},
		`x.yaml:3: domains[0]: "x" is not field=value`:                                     {list(3, "domains", at(3, "a; x")...)},
		"x.yaml:3: domains[0]: knd: is not a field; the fields are name, kind, recipients": {list(3, "domains", at(3, "a; knd=x")...)},
		"x.yaml:3: domains[0]: name: has no value":                                         {list(3, "domains", at(3, "")...)},
		"x.yaml:3: domains[0]: name: is set twice":                                         {list(3, "domains", at(3, "a; name=b")...)},
		"x.yaml:1: send.cost: is required":                                                 {{Name: "send", Section: true, Line: 1}},
		"x.yaml:4: domains[0].name: is required":                                           {element()},
		"-send.cost: is required":                                                          nil,
	} {
		var o organization
		s := source{file: "x.yaml"}
		s.apply(o.flags(), settings)
		if name, missing := strings.CutSuffix(want, ": is required"); missing {
			s.fault(name[strings.LastIndexAny(name, " -")+1:], errors.New("is required"))
		}
		if err := s.err(); err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v\nwant\n%s", err, want)
		}
	}
}
