// Inspects images without Sihwa; docs/inspector-format.md explains every step.
// OpenVINO shows no metadata of an ONNX file, so the card is read from card.json beside it.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <openssl/sha.h>
#include <openvino/openvino.hpp>

using nlohmann::json;
using nlohmann::ordered_json;

struct Image {
  size_t height, width;
  std::vector<uint8_t> rgb;
};

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string content{std::istreambuf_iterator<char>(file), {}};
  if (!file) throw std::runtime_error("cannot be read");
  return content;
}

std::string sha256(const std::string& content) {
  constexpr char HEX[] = "0123456789abcdef";
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(content.data()), content.size(), digest);
  std::string text;
  for (unsigned char byte : digest) text += {HEX[byte >> 4], HEX[byte & 15]};
  return text;
}

ov::InferRequest load(const std::filesystem::path& path, json& card) {
  const std::string graph = read(path);
  card = json::parse(read(path.parent_path() / "card.json"));
  const json& kind = card.at("policy").at("kind");
  if (card.at("format") != "sihwa-inspector" || card.at("format_version") != 3 ||
      (kind != "top_class" && kind != "thresholds"))
    throw std::runtime_error("expected card.json of sihwa-inspector 3 with a known policy");
  if (card.at("files").at(path.filename().string()).at("sha256") != sha256(graph))
    throw std::runtime_error("not the file that card.json was written for; copy both again");
  ov::Core core;
  // without the hint, processors with bfloat16 use it and decide differently
  return core.compile_model(core.read_model(graph, ov::Tensor()), "CPU",
                            ov::hint::inference_precision(ov::element::f32)).create_infer_request();
}

// Binary PPM or PGM of 8 bits; grey is repeated in all three channels.
Image decode(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string kind;
  size_t width = 0, height = 0, white = 0;
  file >> kind >> width >> height >> white;
  const size_t channels = kind == "P6" ? 3 : 1;
  if (!file || (kind != "P6" && kind != "P5") || white != 255)
    throw std::runtime_error("expected a binary PPM or PGM image of 8 bits (P6 or P5, 255)");
  if (width == 0 || height == 0 || width > 100'000'000 / height)
    throw std::runtime_error("expected 1 to 100,000,000 pixels");
  file.get();  // one whitespace character before the pixels
  std::vector<char> pixels(width * height * channels);
  if (!file.read(pixels.data(), pixels.size())) throw std::runtime_error("pixels are missing");
  Image image{height, width, std::vector<uint8_t>(3 * width * height)};
  for (size_t i = 0; i < image.rgb.size(); i++)
    image.rgb[i] = static_cast<uint8_t>(pixels[channels == 3 ? i : i / 3]);
  return image;
}

// [x0, y0, x1, y1] around the cells joined to the peak that reach half of it, or null.
json box_of(const float* map, size_t rows, size_t columns, size_t height, size_t width) {
  const size_t peak = std::max_element(map, map + rows * columns) - map;
  const bool sound = std::none_of(map, map + rows * columns, [](float cell) { return std::isnan(cell); });
  if (!sound || !(map[peak] > 0)) return nullptr;
  std::set<size_t> found, waiting{peak}, ys, xs;
  while (!waiting.empty()) {
    const size_t cell = waiting.extract(waiting.begin()).value();
    if (map[cell] < map[peak] / 2 || !found.insert(cell).second) continue;
    const size_t y = cell / columns, x = cell % columns;
    ys.insert(y), xs.insert(x);
    if (y > 0) waiting.insert(cell - columns);
    if (y + 1 < rows) waiting.insert(cell + columns);
    if (x > 0) waiting.insert(cell - 1);
    if (x + 1 < columns) waiting.insert(cell + 1);
  }
  const auto low = [](size_t cell, size_t side, size_t cells) { return cell * side / cells; };
  const auto high = [](size_t cell, size_t side, size_t cells) {
    return ((cell + 1) * side + cells - 1) / cells;
  };
  return {low(*xs.begin(), width, columns), low(*ys.begin(), height, rows),
          high(*xs.rbegin(), width, columns), high(*ys.rbegin(), height, rows)};
}

// Decision and reason of an image that is like the training images.
std::pair<std::string, std::string> decide(const json& card, const std::string& top_class,
                                           const std::vector<float>& probability) {
  const json &policy = card.at("policy"), &accepted = card.at("accept_classes");
  const auto passes = [&](const json& name) {
    return std::find(accepted.begin(), accepted.end(), name) != accepted.end();
  };
  if (policy.at("kind") == "top_class") {
    const json& least = policy.at("least_probability");
    const float top = *std::max_element(probability.begin(), probability.end());
    if (!least.is_null() && top < least.get<double>())
      return {"review", "its probability is too low; top class is " + top_class};
    return {passes(top_class) ? "accept" : "reject", "top class is " + top_class};
  }
  double defect = 0;
  for (size_t k = 0; k < probability.size(); k++)
    if (!passes(card.at("classes").at(k))) defect += probability[k];
  std::string decision = "review", what = "between the thresholds";
  if (defect <= policy.at("accept_at_most").get<double>()) decision = "accept", what = "low";
  else if (defect >= policy.at("reject_at_least").get<double>()) decision = "reject", what = "high";
  return {decision, "P(defect) is " + what + "; top class is " + top_class};
}

ordered_json inspect(ov::InferRequest& request, const json& card, const std::string& path) {
  ordered_json answer{{"image", path}, {"decision", "review"}};
  Image image;
  try {
    image = decode(path);
  } catch (const std::exception& error) {
    answer.update({{"reason", "unreadable"}, {"error", error.what()}});
    return answer;
  }
  const ov::Shape shape{1, image.height, image.width, 3};
  request.set_tensor("image", ov::Tensor(ov::element::u8, shape, image.rgb.data()));
  request.infer();
  const ov::Tensor evidence = request.get_tensor("evidence");
  const float unknown = request.get_tensor("unknown").data<float>()[0];
  const float* first = request.get_tensor("probability").data<float>();
  const std::vector<float> probability(first, first + card.at("classes").size());
  const auto finite = [](float number) { return std::isfinite(number); };
  if (!finite(unknown) || !std::all_of(probability.begin(), probability.end(), finite)) {
    answer["reason"] = "the network gave NaN or inf";
    return answer;
  }
  const size_t top = std::max_element(probability.begin(), probability.end()) - probability.begin();
  const std::string name = card.at("classes").at(top);
  const json& threshold = card.at("policy").at("unknown_threshold");
  const auto& rgb = image.rgb;
  if (std::equal(rgb.begin() + 3, rgb.end(), rgb.begin())) {  // each pixel is as the one before
    answer["reason"] = "all pixels are the same";
  } else if (!threshold.is_null() && unknown > threshold.get<double>()) {
    answer["reason"] = "unlike the training images; nearest is " + name;
  } else {
    const auto [decision, reason] = decide(card, name, probability);
    answer["decision"] = decision, answer["reason"] = reason;
  }
  const size_t rows = evidence.get_shape()[2], columns = evidence.get_shape()[3];
  const float* map = evidence.data<float>() + top * rows * columns;
  answer.update({{"top_class", name}, {"probability", probability}, {"unknown", unknown},
                 {"box", box_of(map, rows, columns, image.height, image.width)}});
  return answer;
}

int main(int count, char** words) {
  if (count < 2) {
    std::cerr << "usage: inspect INSPECTOR.onnx IMAGE.ppm [IMAGE.ppm ...]\n";
    return 1;
  }
  try {
    json card;
    ov::InferRequest request = load(words[1], card);
    for (int i = 2; i < count; i++) std::cout << inspect(request, card, words[i]) << "\n";
  } catch (const std::exception& error) {
    std::string line = error.what();
    std::replace(line.begin(), line.end(), '\n', ' ');
    std::cerr << words[1] << ": " << line << "\n";
    return 1;
  }
}
