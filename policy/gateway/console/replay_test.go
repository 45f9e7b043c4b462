package console

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/bridgehead-mail/bridgehead/queue"
)

const exported = "X-Sender: <alice@example.com>\r\nX-Receiver: <bob@down.example>\r\nX-EndOfInjectedXHeaders: 1\r\nSubject: Lunch\r\n\r\nsecret caf\xe9\r\n"

// An exported message can be replayed, from a form with a file and from JSON. The
// audit log does not have its content.
func TestReplay(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		m := w.submit(mail("bob@slow.example"))
		w.post("/messages/suspend", 200, form("id", m.ID, "confirm", "yes", "reason", "test"), nil)
		file := w.do(httpGet("/messages/" + m.ID + "/content?envelope=yes")).Body.String()
		w.post("/messages/remove", 200, form("id", m.ID, "confirm", "yes", "reason", "test"), nil)

		answer := w.upload(map[string]string{"message": file, "confirm": "yes", "reason": "again"})
		if answer != http.StatusSeeOther || w.stored() != 1 {
			t.Errorf("%d, %d messages", answer, w.stored())
		}
		w.upload(map[string]string{"message": exported, "confirm": "yes", "reason": "8-bit bytes"})
		found := false
		for info, err := range w.queue.Messages(w.t.Context(), queue.Filter{Recipient: "bob@down.example"}) {
			if err != nil {
				t.Fatal(err)
			}
			content := w.do(httpGet("/messages/" + info.ID + "/content")).Body.String()
			found = strings.HasSuffix(content, "secret caf\xe9\r\n")
		}
		if !found {
			t.Error("the content is not the same")
		}
		var entries auditView
		w.get("/audit", &entries)
		if e := entries.Entries[0]; !strings.Contains(e.Action, "alice@example.com") || len(e.Parameters) > 0 {
			t.Errorf("%+v", e)
		}
		for _, wrong := range []string{"", "Subject: no envelope\r\n\r\n", strings.Repeat("X-Receiver: <bob@example.net>\r\n", 3)} {
			if answer := w.upload(map[string]string{"message": wrong, "confirm": "yes", "reason": "test"}); answer != 400 {
				t.Errorf("%q: %d", wrong, answer)
			}
		}
		if answer := w.upload(map[string]string{"message": strings.Repeat("x", maxUpload)}); answer != 413 {
			t.Errorf("a large one: %d", answer)
		}
		w.post("/replay", 422, form("message", "X-Sender: <a@example.com>\r\nX-Receiver: <b@example.com>\r\nX-EndOfInjectedXHeaders: 1\r\nSubject: a\rb\r\n\r\n", "confirm", "yes", "reason", "test"), nil)
	})
}

// upload sends a form with a file, as a browser does, and returns the status.
func (w *world) upload(fields map[string]string) int {
	w.t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	for name, value := range fields {
		create := form.CreateFormField
		if name == "message" {
			create = func(name string) (io.Writer, error) { return form.CreateFormFile(name, "message.eml") }
		}
		to, err := create(name)
		if err != nil {
			w.t.Fatal(err)
		}
		to.Write([]byte(value))
	}
	form.Close()
	r := httpPost("/replay", form.FormDataContentType(), b.String())
	r.Header.Set("Accept", "text/html")
	answer := w.do(r)
	synctest.Wait()
	return answer.Code
}
