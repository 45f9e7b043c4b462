package rules

import (
	"bytes"

	"golang.org/x/net/html"
)

// notShown are elements whose content readers do not show, or not as HTML.
var notShown = map[string]bool{
	"script": true, "style": true, "title": true, "textarea": true, "xmp": true, "iframe": true,
	"noembed": true, "noframes": true, "noscript": true, "plaintext": true, "template": true,
	"object": true, "applet": true, "audio": true, "video": true, "canvas": true, "svg": true,
	"math": true, "select": true, "datalist": true, "details": true, "dialog": true, "frameset": true,
}

// placeInHTML finds where to add HTML that every reader shows: before the last
// </body>, or at the end. ok is false where no such place is certain, because a
// comment, a tag or an element of notShown is open there, or because readers may
// differ about where a comment ended.
func placeInHTML(text []byte) (at int, ok bool) {
	z := html.NewTokenizer(bytes.NewReader(text))
	off, open, opened := 0, map[string]int{}, 0
	for {
		kind := z.Next()
		start := off
		raw := z.Raw()
		off += len(raw)
		switch kind {
		case html.ErrorToken:
			if ok {
				return at, true
			}
			return len(text), opened == 0 && start == len(text)
		case html.CommentToken:
			if !closed(raw) {
				return at, ok
			}
		case html.TextToken:
			// In a raw text element: readers that know no such elements see a
			// comment there.
			if opened > 0 && bytes.LastIndex(raw, []byte("<!--")) > bytes.LastIndex(raw, []byte("-->")) {
				return at, ok
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			name, _ := z.TagName()
			n := string(name)
			if notShown[n] && (kind == html.StartTagToken || n != "svg" && n != "math") {
				open[n]++ // HTML knows no <script/>, but readers of XHTML do
				opened++
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			if open[string(name)] > 0 {
				open[string(name)]--
				opened--
			}
			if opened == 0 && string(name) == "body" {
				at, ok = start, true
			}
		}
	}
}

// closed says whether all readers agree that a comment, or what is taken for
// one, ends where it ends for an HTML tokenizer.
func closed(raw []byte) bool {
	if body, isComment := bytes.CutPrefix(raw, []byte("<!--")); isComment {
		return bytes.HasSuffix(body, []byte("-->"))
	}
	if bytes.HasPrefix(raw, []byte("<![CDATA[")) {
		return bytes.HasSuffix(raw, []byte("]]>"))
	}
	return bytes.HasSuffix(raw, []byte(">"))
}
