package console

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// The table of ages has a row for each domain, and the columns of qshape.
func TestAge(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		for _, to := range []string{"a@down.example", "b@down.example", "c@slow.example"} {
			w.submit(mail(to))
			time.Sleep(7 * time.Minute)
		}
		var v ageView
		w.get("/age", &v)
		if len(v.Rows) != 2 || v.Rows[0].Domain != "down.example" || v.Rows[0].Total != 2 || v.Total.Total != 3 || !v.Complete || len(v.Limits) != 9 || v.Limits[8] != 1280*60 {
			t.Errorf("%+v", v)
		}
		if ages := v.Rows[0].Ages; len(ages) != 10 || ages[2] != 1 || ages[3] != 1 { // 14 and 21 minutes
			t.Errorf("%v", ages)
		}
		page := w.page("/age", 200)
		for _, part := range []string{">1280</th>", ">1280&#43;</th>", "recipient=%2A%40down.example"} {
			if !strings.Contains(page, part) {
				t.Errorf("the page has no %s\n%s", part, page)
			}
		}
		w.get("/age?by=sender&parents=yes", &v)
		if len(v.Rows) != 1 || v.Rows[0].Domain != "example.com" {
			t.Errorf("by sender: %+v", v.Rows)
		}
		key := keyOf(queue.NextHop{Connector: "internet", Destination: "slow.example"})
		w.get("/age?queue="+url.QueryEscape(key), &v)
		if len(v.Rows) != 1 || v.Total.Total != 1 {
			t.Errorf("of one queue: %+v", v)
		}
		for _, wrong := range []string{"by=both", "limit=1001", "queue=x"} {
			w.page("/age?"+wrong, 400)
		}
	})
}
