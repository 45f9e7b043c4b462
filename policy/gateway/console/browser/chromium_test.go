package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// A browser is a running Chromium with one tab.
type browser struct {
	t   *testing.T
	ctx context.Context
	axe string // the source of axe-core

	// mu guards complaints, which the events of the tab add to.
	mu         sync.Mutex
	complaints []string
}

// startBrowser starts the Chromium of Debian, and ends it with the test.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	axe, err := os.ReadFile(filepath.Join(peers.NeedPackage(t, "axe-core"), "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(peers.Need(t, "chromium")),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, // the tests run as root
	)
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx, axe: string(axe)}
	if err := chromedp.Listen(ctx, b.event); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if err := chromedp.Cancel(ctx); err != nil {
			t.Error(err)
		}
	})
	return b
}

// event keeps errors of scripts, and what the browser refuses, for example because
// of the content security policy.
func (b *browser) event(e any) {
	complaint := ""
	switch e := e.(type) {
	case *runtime.EventExceptionThrown:
		complaint = e.ExceptionDetails.Text
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			complaint = e.Entry.Text + " " + e.Entry.URL
		}
	}
	if complaint != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.complaints = append(b.complaints, complaint)
	}
}

// takeComplaints returns and forgets what event has kept.
func (b *browser) takeComplaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.complaints
	b.complaints = nil
	return taken
}

// do performs steps in the tab. If they take longer than a minute, the test
// fails.
func (b *browser) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// get performs an action that has a result.
func get[T any](b *browser, what string, a chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
	return v
}

// look sets the width of the window and the color scheme ("light" or "dark").
func (b *browser) look(width int64, scheme string) {
	b.t.Helper()
	b.do("size", chromedp.EmulateViewport(width, 900))
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); err != nil {
		b.t.Fatal(err)
	}
}

// load performs steps that load a page, and returns the status of the response.
func (b *browser) load(what string, steps ...chromedp.Action[chromedp.Void]) int64 {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	r, err := chromedp.RunResponse(ctx, steps...)
	if err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
	return r.Status
}

// open loads a page.
func (b *browser) open(url string) {
	b.t.Helper()
	if status := b.load("open "+url, chromedp.Navigate(url)); status != 200 {
		b.t.Fatalf("%s: status %d", url, status)
	}
}

// text returns the text of the page as a person sees it.
func (b *browser) text() string {
	b.t.Helper()
	return get(b, "text", chromedp.Evaluate[string]("document.body.innerText"))
}

// faults returns the faults that axe-core finds on the page.
func (b *browser) faults() []string {
	b.t.Helper()
	b.do("axe-core", chromedp.Steps(discard(chromedp.Evaluate[string](b.axe+"; 'loaded'"))))
	raw := get(b, "axe.run", chromedp.Evaluate[string]("axe.run(document).then(r => JSON.stringify(r.violations))", chromedp.EvalAwaitPromise))
	var violations []struct {
		ID, Help string
		Nodes    []struct{ HTML, FailureSummary string }
	}
	if err := json.Unmarshal([]byte(raw), &violations); err != nil {
		b.t.Fatal(err)
	}
	var faults []string
	for _, v := range violations {
		for _, n := range v.Nodes {
			faults = append(faults, fmt.Sprintf("%s: %s\n%s\n%s", v.ID, v.Help, n.HTML, n.FailureSummary))
		}
	}
	return faults
}

// discard makes a step of an action whose result is not needed.
func discard[T any](a chromedp.Action[T]) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := a(ctx, t)
		return chromedp.Void{}, err
	}
}

// overflow returns how many pixels the page is wider than the window.
func (b *browser) overflow() int {
	b.t.Helper()
	return get(b, "width", chromedp.Evaluate[int]("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
}

// screenshot writes a picture of the whole page to a file.
func (b *browser) screenshot(file string) {
	b.t.Helper()
	if err := os.WriteFile(file, get(b, "screenshot", chromedp.FullScreenshot(100)), 0o644); err != nil {
		b.t.Fatal(err)
	}
}
