package rules

import (
	"bytes"

	"golang.org/x/net/html"
)

// notShown are elements whose content mail programs do not show, or not as HTML.
var notShown = map[string]bool{
	"script": true, "style": true, "title": true, "textarea": true, "xmp": true, "iframe": true,
	"noembed": true, "noframes": true, "noscript": true, "plaintext": true, "template": true,
	"object": true, "applet": true, "audio": true, "video": true, "canvas": true, "svg": true,
	"math": true, "select": true, "datalist": true, "details": true, "dialog": true, "frameset": true,
}

// placeInHTML finds where to insert HTML so that every program shows it: before
// the last </body>, or at the end. ok is false if there is no such place, because
// a comment, a tag or an element of notShown is open there, or because programs
// may differ about the end of a comment.
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
			// In a raw text element: programs that do not know such elements see
			// a comment here.
			if opened > 0 && bytes.LastIndex(raw, []byte("<!--")) > bytes.LastIndex(raw, []byte("-->")) {
				return at, ok
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			name, _ := z.TagName()
			n := string(name)
			if notShown[n] && (kind == html.StartTagToken || n != "svg" && n != "math") {
				open[n]++ // <script/> is not closed in HTML, but closed in XHTML
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

// closed reports whether all programs agree with the HTML tokenizer about the end
// of a comment, or of a construct that is read as one.
func closed(raw []byte) bool {
	if body, isComment := bytes.CutPrefix(raw, []byte("<!--")); isComment {
		return bytes.HasSuffix(body, []byte("-->"))
	}
	if bytes.HasPrefix(raw, []byte("<![CDATA[")) {
		return bytes.HasSuffix(raw, []byte("]]>"))
	}
	return bytes.HasSuffix(raw, []byte(">"))
}
