package wildcard

import "testing"

func TestMatch(t *testing.T) {
	for _, test := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "anything", true},
		{"bob@example.net", "Bob@Example.NET", true},
		{"bob", "bobby", false},
		{"bob*", "bobby", true},
		{"*", "", true},
		{"*@example.net", "bob@example.net", true},
		{"*@example.net", "bob@example.network", false},
		{"b*b", "b", false},
		{"b*b", "bb", true},
		{"a*b*c", "axxbyyc", true},
		{"a*b*c", "axxcyyb", false},
		{"**", "x", true},
		{"*lunch*", "Win a LUNCH now", true},
	} {
		if got := Match(test.pattern, test.s); got != test.want {
			t.Errorf("Match(%q, %q) = %v", test.pattern, test.s, got)
		}
	}
}
