package envelope

import (
	"fmt"
	"strings"
	"testing"
)

func TestCheckLabels(t *testing.T) {
	many := func(n, value int) map[string]string {
		labels := make(map[string]string)
		for i := range n {
			labels[fmt.Sprintf("key%02d", i)] = strings.Repeat("x", value)
		}
		return labels
	}
	for _, c := range []struct {
		labels map[string]string
		want   string // in the error; "" for none
	}{
		{nil, ""},
		{map[string]string{"tenant": "acme", "a/b.c-d_E9": "Grüße, ; = \"", "empty": ""}, ""},
		{map[string]string{strings.Repeat("k", 64): strings.Repeat("v", 256)}, ""},
		{many(32, 100), ""},
		{many(33, 1), "33 labels, at most 32"},
		{map[string]string{"": "x"}, "the key has 0 bytes, not 1 to 64"},
		{map[string]string{strings.Repeat("k", 65): "x"}, "the key has 65 bytes, not 1 to 64"},
		{map[string]string{"a b": "x"}, `label "a b": the key contains byte ' '`},
		{map[string]string{"a=b": "x"}, `the key contains byte '='`},
		{map[string]string{"schlüssel": "x"}, `the key contains byte 'Ã'`},
		{map[string]string{"k": strings.Repeat("v", 257)}, `label "k": the value has 257 bytes, at most 256`},
		{map[string]string{"k": "a\xffb"}, `label "k": the value is not UTF-8`},
		{map[string]string{"k": "a\r\nb"}, `label "k": the value contains a control character`},
		{map[string]string{"k": "a\x7f"}, "a control character"},
		{many(32, 200), "the labels have 6560 bytes, at most 4096"},
	} {
		if err := CheckLabels(c.labels); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.80v: %v, want %q", c.labels, err, c.want)
		}
	}
}

func TestSetLabel(t *testing.T) {
	var o Options
	o.SetLabel("tenant", "acme")
	o.SetLabel("tenant", "example")
	o.SetLabel("campaign", "spring")
	if got := fmt.Sprint(o.Labels, SortedKeys(o.Labels)); got != "map[campaign:spring tenant:example] [campaign tenant]" {
		t.Error(got)
	}
}
