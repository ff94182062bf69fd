//! Listings: of objects, and of uploads in parts.

use super::answer::{Answer, escaped, plain};
use super::{Asked, World};

impl World {
    fn most(&self, asked: &Asked, name: &str) -> usize {
        let asked = asked.query.get(name).and_then(|most| most.parse().ok());
        let page = match self.page {
            0 => 1000,
            page => page,
        };
        page.min(asked.unwrap_or(1000))
    }

    pub(super) fn list(&self, asked: &Asked) -> Answer {
        let get = |name: &str| {
            asked
                .query
                .get(name)
                .map(String::as_str)
                .unwrap_or_default()
        };
        // Tokens say nothing to others, as S3's do.
        let token = hex::decode(get("continuation-token")).unwrap_or_default();
        let token = String::from_utf8_lossy(&token).into_owned();
        let after = match token.as_str() {
            "" => get("start-after"),
            token => token,
        };
        let most = self.most(asked, "max-keys");
        let all = self.objects.iter();
        let flat = get("delimiter");
        // What lies behind the delimiter is left out; nobody here asks for common prefixes.
        let deep = |key: &str| !flat.is_empty() && key[get("prefix").len()..].contains(flat);
        let mut found = all.filter(|(key, _)| {
            key.starts_with(get("prefix")) && key.as_str() > after && !deep(key)
        });
        let page: Vec<_> = found.by_ref().take(most).collect();
        let more = found.next().is_some();
        let mut text = String::from("<ListBucketResult><EncodingType>url</EncodingType>");
        for (key, object) in &page {
            text += &format!(
                "<Contents><Key>{}</Key><ETag>&quot;{}&quot;</ETag><Size>{}</Size></Contents>",
                escaped(key),
                object.e_tag,
                object.bytes.len()
            );
        }
        if let (true, Some((last, _))) = (more, page.last()) {
            let token = hex::encode(last.as_bytes());
            text += &format!("<NextContinuationToken>{token}</NextContinuationToken>");
        }
        plain(200, text + "</ListBucketResult>")
    }

    /// In the order of keys, then of their beginning, as AWS has it.
    pub(super) fn list_uploads(&self, asked: &Asked) -> Answer {
        let get = |name: &str| asked.query.get(name).cloned().unwrap_or_default();
        let (key_marker, id_marker) = (get("key-marker"), get("upload-id-marker"));
        let mut all: Vec<_> = self.uploads.iter().collect();
        all.sort_by_key(|(id, upload)| (&upload.key, upload.begun, id.len(), *id));
        let all = all
            .into_iter()
            .filter(|(_, upload)| upload.key.starts_with(&get("prefix")));
        let mut passed = id_marker.is_empty();
        let mut rest = all.filter(|(id, upload)| {
            if upload.key < key_marker || (id_marker.is_empty() && upload.key == key_marker) {
                return false;
            }
            if upload.key > key_marker {
                return true;
            }
            let after = passed;
            passed |= **id == id_marker;
            after
        });
        let most = self.most(asked, "max-uploads");
        let page: Vec<_> = rest.by_ref().take(most).collect();
        let more = rest.next().is_some();
        let mut text = format!(
            "<ListMultipartUploadsResult><EncodingType>url</EncodingType>\
             <IsTruncated>{more}</IsTruncated>"
        );
        if let (true, Some((id, upload))) = (more, page.last()) {
            text += &format!(
                "<NextKeyMarker>{}</NextKeyMarker><NextUploadIdMarker>{id}</NextUploadIdMarker>",
                escaped(&upload.key)
            );
        }
        for (id, upload) in page {
            let begun = jiff::Timestamp::try_from(upload.begun).unwrap();
            text += &format!(
                "<Upload><Key>{}</Key><UploadId>{id}</UploadId><Initiated>{begun:.3}</Initiated></Upload>",
                escaped(&upload.key)
            );
        }
        plain(200, text + "</ListMultipartUploadsResult>")
    }
}
